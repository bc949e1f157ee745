"""Which epoch is kept, why a run ends, and how one that has stopped goes on."""

import json
import math

import pytest
import torch

from tests.support.commands import fork
from vae_cli.training.checkpointing import FixedNameCheckpoint
from vae_cli.training.selection import Selection

NAN = math.nan
STOPS = ("dataset=digits", "dataset.subset=300", "dataset.val_size=50", "network.hidden=[8]", "model.latent_dim=2")
STOPS += ("optimizer.lr=1e-12", "trainer.max_epochs=6", "trainer.patience=1", "evaluate.samples=2", "logger=csv")


@pytest.mark.parametrize(
    ("mode", "after", "values", "expected"),
    [
        ("max", 0, [-3, -2, -2, -4], (2, 2)),
        ("min", 0, [3, 2, 2, 4], (2, 2)),
        ("max", 0, [NAN, -5, math.inf, -math.inf, -6, NAN], (2, 1)),
        ("max", 2, [-1, -1, -9, -8, -9], (4, 1)),
        ("max", 0, [NAN, NAN], (0, 0)),
        ("max", 0, [], (0, 0)),
    ],
)
def test_the_best_epoch_and_the_epochs_after_it(mode, after, values, expected):
    assert Selection("val/elbo", mode, after).waited([{"val/elbo": value} for value in values]) == expected


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize(
    "values", [[NAN, NAN, NAN], [NAN, 1.0, NAN, 2.0, -math.inf, 2.0], [3.0, math.inf, 1.0]], ids=str
)
def test_what_is_kept_is_the_best_epoch_or_the_last_one(mode, values, tmp_path):
    keeper, kept = FixedNameCheckpoint(filename="best", monitor="m", mode=mode, dirpath=tmp_path), 0

    class Strategy:
        @staticmethod
        def reduce_boolean_decision(decision):
            return decision

    trainer = type("Trainer", (), {"strategy": Strategy})
    for epoch, value in enumerate(values, 1):
        current = torch.tensor(value)
        if keeper.check_monitor_top_k(trainer, current):
            kept = epoch
            keeper.best_k_models, keeper.kth_best_model_path, keeper.best_model_score = {"p": current}, "p", current
    rows = [{"m": value} for value in values]
    assert kept == (Selection("m", mode, 0).waited(rows)[0] or len(values))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    place = tmp_path_factory.mktemp("stopped")
    done = fork("vae-train", *STOPS, "trainer.accelerator=cpu", "hydra.run.dir=run", folder=place)
    assert done.code == 0, done.err
    return place, done.out


def results(place):
    return json.loads((place / "run" / "results.json").read_text())


def test_a_run_that_stops_early_says_why_and_goes_on_without_patience(stopped):
    place, shown = stopped
    first = results(place)
    epochs, best = first["train/epochs"], first["train/best_epoch"]
    reason = f"trainer.patience=1: val/elbo was best at epoch {best}, and no better in the 1 epoch after it"
    assert first["train/stopped"] == reason and epochs == best + 1 < 6 and first["train/best_by"] == "val/elbo"
    assert f"stopped at epoch {epochs} by {reason}; set trainer.patience=null to continue" in shown
    assert "vae-train resume=run trainer.max_epochs=12 trainer.patience=null\n" in shown
    again = fork("vae-train", "resume=run", "trainer.max_epochs=8", folder=place)
    assert again.code == 0 and f"no epoch was trained: {reason}; set trainer.patience=null to continue" in again.out
    assert results(place)["train/epochs"] == epochs
    on = fork("vae-train", "resume=run", "trainer.patience=null", "trainer.max_epochs=8", folder=place)
    assert on.code == 0, on.err
    last = results(place)
    assert last["train/epochs"] == 8 and last["train/stopped"] == "trainer.max_epochs=8"
    rows = (place / "run" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("val/elbo")
    values = [float(row.split(",")[column]) for row in rows[1:]]
    assert last["val/elbo"] == max(values) == values[last["train/best_epoch"] - 1]
    short = fork("vae-train", "resume=run", "trainer.patience=2", "trainer.max_epochs=30", folder=place)
    assert short.code == 0 and results(place)["train/epochs"] <= 8 + 2, short.err


@pytest.mark.parametrize("split", ["val", pytest.param("train", marks=pytest.mark.slow)])
def test_evaluating_another_split_keeps_the_number_that_chose_the_epoch(split, tmp_path):
    line = [*STOPS, "trainer.patience=null", "trainer.max_epochs=2", "trainer.accelerator=cpu", "hydra.run.dir=run"]
    done = fork("vae-train", *line, f"evaluate.split={split}", "evaluate.elbo_samples=7", folder=tmp_path)
    assert done.code == 0, done.err
    found = results(tmp_path)
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("val/elbo")
    assert found["val/elbo"] == max(float(row.split(",")[column]) for row in rows[1:])
    assert found[f"{split}_split/elbo"] != found["val/elbo"] and f"{split}/elbo_se" not in found
    assert f"{split}_split/elbo" in done.out
    fork("vae-report", "run", folder=tmp_path)
    columns = (tmp_path / "run" / "report.csv").read_text().splitlines()[0].split(",")
    assert {"validation/elbo", f"{split}_split/elbo"} <= set(columns)
