"""vae-train reproduce=RUN: a new run with the numbers of an earlier one, or with reasons."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.support.commands import fingerprint, fork
from tests.support.runs import results
from vae_cli.commands.reproduction import Comparison
from vae_cli.config.preflight import prepare_training
from vae_cli.errors import ConfigError
from vae_cli.runs.folder import RunFolder

LINE = (
    "dataset=digits", "network.hidden=[8]", "model.latent_dim=2", "evaluate.samples=2", "logger=csv",
    "trainer.accelerator=cpu", "trainer.max_epochs=1", "name=first",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a run of one epoch."""
    folder = tmp_path_factory.mktemp("reproduction") / "work"
    folder.mkdir()
    done = fork("vae-train", *LINE, "hydra.run.dir=run", folder=folder)
    assert (done.code, done.err) == (0, "")
    return folder


def edit(run: Path, **changes: object) -> None:
    (run / "results.json").write_text(json.dumps(results(run) | changes))


def test_a_start_is_recorded(place: Path) -> None:
    (start,) = results(place / "run")["starts"]
    assert start["command"].startswith("vae-train dataset=digits ") and start["command"].endswith("hydra.run.dir=run")
    assert (start["threads"], start["processes"], start["gpu"]) == (1, 1, None)
    assert start["processor"] and start["host"]


def test_a_run_is_trained_again_and_compared(place: Path) -> None:
    """The earlier run states another number, and another version of torch: nothing else differs."""
    earlier = place / "earlier"
    shutil.copytree(place / "run", earlier)
    error = results(earlier)["test/elbo_se"]
    edit(earlier, **{"test/elbo": results(earlier)["test/elbo"] + 3 * error, "version/torch": "1.0"})
    before = fingerprint(earlier)
    done = fork("vae-train", "reproduce=earlier", "hydra.run.dir=again", folder=place)
    assert (done.code, done.err) == (3, "")
    *_, told, row, reasons, way = done.out.splitlines()
    assert told.startswith("differs from earlier in 1 of ")
    assert row.split()[0] == "test/elbo" and row.endswith(", 3 standard errors")
    assert "torch 1.0, now " in reasons and "pip install torch==1.0" in way
    again = results(place / "again")
    assert (again["status"], again["reproduction/different"]) == ("done", 1)
    assert again["reproduction/run"] == str(earlier) and fingerprint(earlier) == before
    ours, theirs = (yaml.safe_load((place / name / "config.yaml").read_text()) for name in ("again", "run"))
    assert ours == theirs | {"reproduce": str(earlier), "name": None}
    typed = [yaml.safe_load((place / name / "overrides.yaml").read_text()) for name in ("again", "run")]
    assert typed[0] == typed[1]


def test_equal_runs_are_said_to_be_equal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(place / "run")
    comparison = Comparison.of(run, run)
    comparison.show()
    assert not comparison.different and comparison.epoch is None and comparison.count > 20
    assert f"all {comparison.count} numbers are equal" in capsys.readouterr().out


def test_reasons_are_what_the_runs_have_recorded(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = place / "other"
    shutil.copytree(place / "run", earlier)
    rows = (earlier / "metrics.csv").read_text().splitlines()
    (earlier / "metrics.csv").write_text("\n".join([rows[0], rows[1].replace("-", "-1")]))
    start = results(earlier)["starts"][0] | {"threads": 8, "processor": "Z80"}
    gone = {"test/heard_of": 1.0, "test/cluster_weights": [0.5, 0.5]}
    edit(earlier, starts=[start, start], **gone, **{"git/commit": "abc", "data/sha256": "0"})
    (earlier / "git.diff").write_text("+")
    comparison = Comparison.of(RunFolder(earlier), RunFolder(place / "run"))
    comparison.show()
    told = capsys.readouterr().out
    assert {one.key for one in comparison.different} == set(gone) and comparison.epoch == 1
    for text in ("threads 8, now 1", "processor Z80, now ", "data/sha256 0, now ", "had 2 starts", "not committed"):
        assert text in told
    assert "git checkout abc; git apply " in told


@pytest.mark.parametrize(
    ("line", "way_out"),
    [
        (("reproduce=run", "objective.beta=2"), "it can change "),
        (("reproduce=run", "trainer.max_epochs=2"), "it can change "),
        (("reproduce=run", "model=vade"), "start a new run"),
        (("reproduce=run", "resume=run"), "remove one of them"),
        (("reproduce=run", "-m", "seed=1,2"), "remove --multirun"),
        (("reproduce=run", "--cfg", "job"), "remove --cfg"),
        (("reproduce=nowhere",), "the newest run"),
        (("reproduce=stopped",), "use resume=stopped"),
    ],
)
def test_refusals_name_the_way_out(
    line: tuple[str, ...], way_out: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    if not (place / "stopped").exists():
        shutil.copytree(place / "run", place / "stopped")
        edit(place / "stopped", status="interrupted")
        (place / "outputs" / "train" / "day").mkdir(parents=True)
        shutil.copytree(place / "run", place / "outputs" / "train" / "day" / "run")
    with pytest.raises(ConfigError) as refused:
        prepare_training(line)
    assert way_out in str(refused.value) and "\n" not in str(refused.value)


def test_what_belongs_to_the_machine_may_change(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    lines = prepare_training(
        ["reproduce=run", "trainer.threads=1", "logger.csv=false", "name=second", "figures=[]"]
    ).arguments
    assert {"++trainer.threads=1", "++name=second"} <= set(lines) and lines[-1] == f"reproduce='{place / 'run'}'"
