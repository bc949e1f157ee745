"""trainer=fast: the choice is measured, recorded, and kept by a resumed run."""

from pathlib import Path

import pytest

from tests.support.configs import composed
from tests.support.training import train
from vae_cli.distributed.process_group import ProcessLayout
from vae_cli.distributions.precision import has_bf16
from vae_cli.runs.checkpoints import load
from vae_cli.runs.folder import RunFolder
from vae_cli.training import fastest

FAST = ["dataset=digits", "trainer=fast", "network.hidden=[8]", "trainer.max_epochs=2", "trainer.limit_batches=3"]
ONE = ProcessLayout(devices=1, nodes=1)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return train(composed(*FAST), tmp_path_factory.mktemp("fast"))


def test_the_faster_precision_is_chosen(results: dict) -> None:
    rates = {key.removeprefix("measured/"): rate for key, rate in results.items() if key.startswith("measured/")}
    assert set(rates) == {"32-true", *["bf16-mixed"] * has_bf16("cpu")}
    assert results["precision"] == max(rates, key=rates.__getitem__) and results["compiled"] is False


def test_a_resumed_run_keeps_its_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = iter([1.0, 2.0, 2.0, 1.0])
    monkeypatch.setattr(fastest, "_rate", lambda *args: next(speeds))
    monkeypatch.setattr(fastest, "has_bf16", lambda device: True)
    config = composed(*FAST)
    train(config, tmp_path)
    assert load(RunFolder(tmp_path).checkpoint("last"))["precision"] == "bf16-mixed"
    again, results = fastest.chosen(
        config, ONE, config.dataset.build().load(), {"precision": "bf16-mixed", "compiled": False}
    )
    assert again.trainer.precision == "bf16-mixed" and not again.trainer.compile
    assert not any(key.startswith("measured/") for key in results)


@pytest.mark.parametrize(("epochs", "compiled"), [(2, False), (10**6, True)])
def test_only_a_long_training_is_worth_compiling(epochs: int, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "_rate", lambda config, way, compiles, *rest: 2000.0 if compiles else 1000.0)
    config = composed(*FAST, f"trainer.max_epochs={epochs}", "trainer.precision=32-true")
    chosen, _ = fastest.chosen(config, ONE, config.dataset.build().load(), {})
    assert chosen.trainer.compile is compiled
