"""A folder of each earlier format, committed once, is read by every later version."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits

import vae_cli
from tests.support.commands import Done, fingerprint, fork
from tests.support.configs import composed
from tests.support.format_folder import KEPT, LINE, PLACE
from vae_cli.config import check
from vae_cli.config.compose import Composer
from vae_cli.config.resume import resumed
from vae_cli.config.sources import Sources
from vae_cli.config.view import ConfigView, Refusal
from vae_cli.errors import ConfigError
from vae_cli.runs.folder import RunFolder

EACH = pytest.mark.parametrize("number", [1, 2])
FIRST = pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.slow)])


@pytest.fixture
def saved(number: int) -> Path:
    """The run in the folder of a format."""
    (run,) = (PLACE / f"format_{number}").iterdir()
    return run


@pytest.fixture
def work(tmp_path: Path, saved: Path) -> Path:
    """A working directory with a copy of the sweep."""
    shutil.copytree(saved.parent, tmp_path / "work" / "sweep")
    return tmp_path / "work"


def run_in(work: Path) -> Path:
    (run,) = (file.parent for file in work.glob("sweep/*/config.yaml"))
    return run


def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text())


def epochs(run: Path) -> list[str]:
    return [row["epoch"] for row in csv.DictReader((run / "metrics.csv").read_text().splitlines())]


def fine(done: Done) -> Done:
    assert (done.code, done.err) == (0, "")
    return done


def sweep(work: Path) -> Done:
    return fine(fork("vae-train", *LINE, "hydra.sweep.dir=sweep", folder=work))


@EACH
def test_it_is_small_and_names_no_place(number: int, saved: Path) -> None:
    files = [path for path in saved.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 100_000
    assert {path.relative_to(saved).parts[0] for path in files} == set(KEPT)
    assert not [path for path in files if any(root in path.read_bytes() for root in (b"/home/", b"/tmp/", b"/work/"))]
    assert yaml.safe_load((saved / "config.yaml").read_text())["format"] == number


@EACH
def test_it_loads(saved: Path) -> None:
    images = np.asarray(load_digits().images[:5] > 8, dtype=np.float32)[:, None]
    run = vae_cli.load(saved)
    assert run.log_likelihood(images, samples=2).isfinite().all()
    assert run.sample(3).shape == (3, 1, 8, 8)


@FIRST
def test_it_is_evaluated_and_sampled(saved: Path, work: Path) -> None:
    fine(fork("vae-eval", f"run={run_in(work)}", "evaluate.samples=2", "trainer.accelerator=cpu", folder=work))
    (file,) = run_in(work).glob("evaluations/*.json")
    assert json.loads(file.read_text())["test/elbo"] == pytest.approx(results(saved)["test/elbo"], abs=1e-3)
    fine(fork("vae-sample", f"run={run_in(work)}", "n=4", folder=work))
    assert list(run_in(work).glob("samples/*.npz"))


@EACH
def test_it_resumes_for_another_epoch(work: Path) -> None:
    fine(fork("vae-train", f"resume={run_in(work)}", "trainer.max_epochs=3", folder=work))
    found = results(run_in(work))
    assert (found["status"], found["train/epochs"]) == ("done", 3)
    assert epochs(run_in(work)) == ["1", "2", "3"]


@FIRST
def test_it_is_reproduced(work: Path) -> None:
    """On another processor the last digits may differ, which is exit code 3."""
    done = fork("vae-train", f"reproduce={run_in(work)}", "hydra.run.dir=again", folder=work)
    assert done.code in (0, 3) and done.err == ""
    found = results(work / "again")
    assert (found["status"], found["train/epochs"]) == ("done", 2)
    assert found["test/elbo"] == pytest.approx(results(run_in(work))["test/elbo"], abs=0.1)


@FIRST
def test_it_is_reported(saved: Path, work: Path) -> None:
    fine(fork("vae-report", "sweep", folder=work))
    assert f"{results(saved)['test/elbo']:.2f}".lstrip("-") in (work / "sweep" / "report.html").read_text()


@FIRST
def test_it_is_done_in_its_sweep(work: Path) -> None:
    before = fingerprint(run_in(work))
    assert f"{run_in(work).name}: done already" in sweep(work).out
    after = fingerprint(run_in(work))
    assert {name: after[name] for name in before} == before


@FIRST
def test_it_goes_on_in_its_sweep(saved: Path, work: Path) -> None:
    run = run_in(work)
    shutil.copyfile(run / "checkpoints" / "previous.ckpt", run / "checkpoints" / "last.ckpt")
    (run / "results.json").write_text(json.dumps({"status": "interrupted", "error": "interrupted"}))
    done = sweep(work)
    assert f"{run_in(work).name}: resumes from its last checkpoint" in done.out
    assert "epoch 1/2" not in done.out and "epoch 2/2" in done.out
    found = results(run)
    assert (found["status"], found["train/epochs"]) == ("done", 2)
    assert found["test/elbo"] == pytest.approx(results(saved)["test/elbo"], abs=0.1)


@pytest.mark.parametrize("number", [1])
def test_a_rule_that_is_younger_than_a_run_does_not_bar_it(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def younger(view: ConfigView) -> Refusal:
        return Refusal("objective", "no longer allowed")

    monkeypatch.setattr(check, "RULES", (*check.RULES, younger))
    run = RunFolder(run_in(work))
    assert vae_cli.load(run.path).config.trainer.max_epochs == 2
    assert resumed(run, Composer("train", Sources.find()), ["trainer.max_epochs=9"]).trainer.max_epochs == 9
    with pytest.raises(ConfigError, match="no longer allowed"):
        composed()
