"""Optuna's search: what it maximises, and a study that survives failures and goes on."""

import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import Done, fingerprint, fork
from tests.fragile import PLUGIN
from vae_cli.search import score

SMALL = ("dataset=digits", "network.hidden=[16]", "evaluate.samples=2", "trainer.accelerator=cpu", "logger=csv")
FRAGILE = ("objective._target_=fragile.Fragile", "trainer.max_epochs=2")


@pytest.mark.parametrize(
    ("results", "value"),
    [
        ({"val/elbo": -3.0, "val/distortion": 1.0, "test/elbo": -2.0}, -3.0),
        ({"val/distortion": 1.5}, -1.5),
        ({"val/elbo": None}, -math.inf),
        ({"val/elbo": math.nan}, -math.inf),
        ({"status": "failed"}, -math.inf),
    ],
)
def test_what_a_search_maximises(results: dict[str, Any], value: float) -> None:
    assert score(results) == value


def search(work: Path, trials: int, choices: str = "2,4") -> Done:
    line = ["hparams_search=optuna", f"hydra.sweeper.n_trials={trials}", f"model.latent_dim={choices}"]
    return fork("vae-train", *SMALL, *FRAGILE, *line, "hydra.sweep.dir=study of mine", folder=work, **PLUGIN)


def trials(folder: Path) -> list[tuple[str, float | None]]:
    """State and value of each trial, in order, by the study's file."""
    with sqlite3.connect(folder / "study.db") as file:
        query = "SELECT state, value FROM trials LEFT JOIN trial_values USING (trial_id) ORDER BY number"
        return file.execute(query).fetchall()


def test_a_search_survives_a_failure_and_goes_on(tmp_path: Path) -> None:
    work = tmp_path / "work"
    folder = work / "study of mine"
    work.mkdir()
    (work / "diverge").touch()
    done = search(work, 2)
    assert done.code == 0
    assert len(done.err.splitlines()) == 1 and "the loss became nan" in done.err
    (state, worst), (_, value) = trials(folder)
    assert (state, worst) == ("COMPLETE", -math.inf)
    rows = json.loads((folder / "sweep.json").read_text())
    assert [row["status"] for row in rows] == ["failed", "done"]
    assert json.loads((folder / rows[1]["folder"] / "results.json").read_text())["val/elbo"] == value
    best = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    assert best["best_value"] == value and set(best["best_params"]) == {"optimizer.lr", "model.latent_dim"}

    (work / "interrupt").touch()
    done = search(work, 3)
    assert done.code == 130 and [state for state, _ in trials(folder)][2:] == ["RUNNING"]
    done = search(work, 3)
    assert (done.code, done.err) == (0, "")
    assert "goes on from its last checkpoint" in done.out and "epoch 1/2" not in done.out
    assert [state for state, _ in trials(folder)] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
    rows = json.loads((folder / "sweep.json").read_text())
    assert [row["status"] for row in rows] == ["failed", "done", "done"]
    assert len({row["folder"] for row in rows}) == 3

    before, files = trials(folder), fingerprint(folder)
    done = search(work, 4, "2,4,8")
    assert done.code == 2 and "the study in study of mine chooses from 2,4, and cannot take other" in done.err
    assert len(done.err.splitlines()) == 1 and fingerprint(folder) == files
    done = search(work, 3)
    assert trials(folder) == before and "epoch 1" not in done.out and "go on with" not in done.out
