"""trainer=fast: the choice is measured, recorded, and kept by a resumed run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.configs import changed, composed
from tests.support.training import train
from vae_cli.distributions.precision import has_bf16
from vae_cli.runs.checkpoints import load
from vae_cli.runs.folder import RunFolder
from vae_cli.training.fastest import WORTH_COMPILING, Way, measured

FAST = ["dataset=digits", "trainer=fast", "network.hidden=[8]", "trainer.max_epochs=1", "trainer.limit_batches=3"]
PLAIN, HALF, COMPILED = Way("32-true", False), Way("bf16-mixed", False), Way("bf16-mixed", True)
SPEEDS = {PLAIN: 1000.0, HALF: 2000.0, COMPILED: 3000.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fast") / "run"
    train(composed(*FAST), folder)
    return folder


def speeds(results: dict[str, Any]) -> dict[str, float]:
    return {key.removeprefix("measured/"): rate for key, rate in results.items() if key.startswith("measured/")}


def test_the_faster_precision_is_chosen_and_recorded(folder: Path) -> None:
    results = RunFolder(folder).results()
    found = speeds(results)
    assert set(found) == {"32-true", *["bf16-mixed"] * has_bf16("cpu")}
    assert results["precision"] == max(found, key=found.__getitem__) and results["compiled"] is False
    assert RunFolder(folder).config().trainer.precision == "fastest"
    checkpoint = load(RunFolder(folder).checkpoint("last"))
    assert (checkpoint["precision"], checkpoint["compiled"]) == (results["precision"], False)


def test_a_resumed_run_keeps_its_choice(folder: Path) -> None:
    before = RunFolder(folder).results()
    resumed = train(replace(changed(composed(*FAST), max_epochs=2), resume=str(folder)), folder)
    assert resumed["train/epochs"] == 2 and resumed["precision"] == before["precision"]
    assert speeds(resumed) == speeds(before)  # nothing is measured anew


@pytest.mark.parametrize(
    ("compiles", "seconds", "ways"),
    [
        (False, 10 * WORTH_COMPILING, [PLAIN, HALF]),
        (None, 0.9 * WORTH_COMPILING, [PLAIN, HALF]),
        (None, 1.1 * WORTH_COMPILING, [PLAIN, HALF, COMPILED]),
    ],
)
def test_only_a_long_training_is_tried_compiled(compiles: bool | None, seconds: float, ways: list[Way]) -> None:
    examples = int(seconds * SPEEDS[HALF])
    found = measured(["32-true", "bf16-mixed"], compiles, examples, SPEEDS.__getitem__)
    assert found == {way: SPEEDS[way] for way in ways}
