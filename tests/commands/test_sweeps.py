"""Sweeps as commands: their table, their W&B group, loggers, a user's own options."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from tests.support.commands import Done, fork
from tests.support.runs import results
from tests.support.wandb_files import of_kind, records, started_by_agent
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import conf_folder

SMALL = ("dataset=digits", "network.hidden=[32]", "model.latent_dim=4", "evaluate.samples=5", "trainer.accelerator=cpu")


def sweep(folder: Path, *arguments: str) -> tuple[Done, list[dict[str, Any]]]:
    """A sweep and its sweep.json."""
    folder.mkdir()
    done = fork("vae-train", "-m", *SMALL, "trainer.max_epochs=1", "hydra.sweep.dir=all", *arguments, folder=folder)
    return done, json.loads((folder / "all" / "sweep.json").read_text())


def test_a_sweep_is_a_group_of_runs_and_a_table(tmp_path: Path) -> None:
    done, rows = sweep(tmp_path / "work", "objective.beta=0.5,1")
    assert (done.code, done.err) == (0, "")
    assert [row["status"] for row in rows] == ["done"] * 2
    table = done.out[done.out.index("sweep in all") :]
    for beta in (0.5, 1):
        assert re.search(rf"^ +objective.beta={beta} +done ", table, re.M)
    folders = [tmp_path / "work" / "all" / row["folder"] for row in rows]
    described = [of_kind(records(next(folder.glob("wandb/*/*.wandb"))), "run")[0] for folder in folders]
    assert len({run["run_id"] for run in described}) == 2
    assert len({run["run_group"] for run in described}) == 1 and described[0]["run_group"].endswith("all")
    assert len({row["test/elbo"] for row in rows}) == 2
    assert [results(folder)["test/elbo"] for folder in folders] == [row["test/elbo"] for row in rows]


@pytest.mark.slow
def test_a_sweep_survives_a_job_that_diverges(tmp_path: Path) -> None:
    done, rows = sweep(tmp_path / "work", "logger=csv", "optimizer=sgd", "optimizer.lr=1e12,1e-3")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1 and "the loss became" in done.err
    assert [row["status"] for row in rows] == ["failed", "done"]
    assert "the loss became" in rows[0]["error"] and rows[1]["error"] is None
    table = done.out[done.out.index("sweep in all") :]
    assert re.search(r"lr=1000000000000.0 +failed", table) and re.search(r"lr=0.001 +done", table)


def test_loggers_and_a_users_own_options(tmp_path: Path) -> None:
    """One sweep over loggers, its model and experiment from a vae_conf folder in the working directory."""
    work = tmp_path / "work"
    for name, content in {
        "model/mine": "# my own\ndefaults:\n  - vae\nlatent_dim: 3\n",
        "experiment/mine": "# @package _global_\ndefaults:\n  - override /model: mine\nobjective:\n  beta: 0.7\n",
    }.items():
        file = work / "vae_conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(content)
    small = [argument for argument in SMALL if not argument.startswith("model.")]
    choices = [
        "experiment=mine",
        "logger=csv,none,[csv,tensorboard]",
        "logger.every=20",
        "trainer.max_epochs=1",
        "hydra.sweep.dir=all",
    ]
    done = fork("vae-train", "-m", *small, *choices, folder=work)
    assert (done.code, done.err) == (0, "")
    seen = set()
    for run in (file.parent for file in (work / "all").glob("*/config.yaml")):
        config = OmegaConf.load(run / "config.yaml")
        chosen = tuple(key for key in ("csv", "tensorboard", "wandb") if config.logger[key])
        seen.add(chosen)
        assert (config.model.latent_dim, config.objective.beta) == (3, 0.7)
        assert results(run)["status"] == "done"
        assert not (run / "wandb").exists()
        assert (run / "metrics.csv").exists() == (run / "steps.csv").exists() == bool(chosen)
        assert bool(list(run.rglob("events.out.tfevents.*"))) == ("tensorboard" in chosen)
    assert seen == {("csv",), (), ("csv", "tensorboard")}


def test_a_sweep_of_wandb_drives_a_run(tmp_path: Path) -> None:
    """The agent's own code makes the command line, as `wandb agent` does once the server has chosen."""
    sweep = yaml.safe_load((conf_folder() / "wandb_sweep.yaml").read_text())
    values = {"dataset": "digits", "objective.beta": 2, "optimizer.lr": 0.00123, "network.hidden": [16, 8]}
    small = {"trainer.max_epochs": 1, "evaluate.samples": 2, "figures": [], "trainer.deterministic": True}
    work = tmp_path / "work"
    work.mkdir()
    arguments, variables = started_by_agent(sweep, values | small, work)
    done = fork("vae-train", *arguments, folder=work, **variables)
    assert (done.code, done.err) == (0, "")
    (run,) = (path.parent for path in work.rglob("results.json"))
    config = RunFolder(run).config()
    assert (config.objective.beta, config.optimizer.lr, config.network.hidden) == (2, 0.00123, [16, 8])
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    found = records(file)
    assert of_kind(found, "run")[0]["run_id"] == "chosen01" and of_kind(found, "run")[0]["sweep_id"] == "sweep123"
    summary = {name: value for update in of_kind(found, "summary") for name, value in update["update"].items()}
    assert summary[sweep["metric"]["name"]] == results(run)["val/elbo"]
