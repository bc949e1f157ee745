"""Rows whose bounds overflow: named, left out of means and of the choice of an epoch, and no reason to stop."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import vae_cli
from tests.support.commands import fork
from tests.support.configs import changed, composed
from tests.support.training import train

TABLE = ("dataset=array", "dataset.path=x.npz", "dataset.val_size=50", "network.hidden=[16]", "model.latent_dim=2")


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of normal entries, written with some of them far out: (split, row, value)."""
    monkeypatch.chdir(tmp_path)

    def written(*far):
        x = np.random.default_rng(0).normal(size=(300, 6))
        order = torch.randperm(250, generator=torch.Generator().manual_seed(0))
        for split, row, value in far:
            x[250 + row if split == "test" else int(order[200 + row]), 2] = value
        np.savez("x.npz", x_train=x[:250], x_test=x[250:])
        config = composed(*TABLE, "logger=csv", "trainer.max_epochs=6", "dataset.batch_size=50")
        if far[0][0] == "val":
            assert config.dataset.build().load().val.x[far[0][1], 2] == far[0][2]
        return config

    return written


def test_a_bound_that_is_never_finite_chooses_nothing_and_ends_nothing(table, capsys):
    config = table(("val", 17, -99999.0), ("val", 30, -5e7))
    results = train(changed(config, patience=2), Path("run"))
    shown = capsys.readouterr().err
    assert shown.count("warning: epoch 1: the bound of rows 17, 30 of the validation split") == 1
    assert "(2 of 50); the entry of row 17 that is farthest from 0 is -99999" in shown
    assert "warning: val/elbo was finite at no epoch" in shown
    assert results["train/epochs"] == results["train/best_epoch"] == 6
    assert results["train/stopped"] == "trainer.max_epochs=6"
    assert results["train/best_by"] == "the last epoch, because val/elbo was never finite"
    written = json.loads(Path("run/results.json").read_text())
    assert written["val/elbo"] is None and written["test/elbo"] < 0


def test_an_epoch_without_a_finite_bound_is_no_candidate(table, monkeypatch):
    """All but the third of six epochs have none; patience counts that one alone."""
    from vae_cli.training.lightning_module import LatentModelModule

    config = table(("test", 0, 0.0))
    config = changed(config, patience=1)
    step = LatentModelModule.validation_step

    def spoilt(self, batch, index):
        step(self, batch, index)
        if self.current_epoch != 2:
            self.validation.sums = self.validation.sums * math.nan

    monkeypatch.setattr(LatentModelModule, "validation_step", spoilt)
    results = train(config, Path("run"))
    assert results["train/best_epoch"] == 3 and results["train/epochs"] == 6 and results["train/best_by"] == "val/elbo"
    assert math.isfinite(results["val/elbo"])


def test_test_rows_that_overflow_are_named_and_left_out(table, capsys):
    config = table(("test", 3, -99999.0), ("test", 44, -5e7))
    results = train(config, Path("run"))
    shown = capsys.readouterr()
    assert "warning: test split: the numbers of rows 3, 44" in shown.err and "(2 in all)" in shown.err
    assert results["test/not_finite_rows"] == 2 and results["test/first_not_finite_rows"] == [3, 44]
    assert results["test/examples"] == 48 and math.isfinite(results["test/iw_log_likelihood"])
    assert "test/not_finite_rows" in shown.out
    x = np.load("x.npz")["x_test"]
    scores = vae_cli.load("run").log_likelihood(x, samples=5)
    assert not scores.isnan().any() and (scores < -1e6).nonzero().flatten().tolist() == [3, 44]
    done = fork("vae-eval", "run=run", "evaluate.samples=2", "evaluate=gaps", "trainer.accelerator=cpu",
                "evaluate.gaps.images=10", "evaluate.gaps.temperatures=5", folder=Path.cwd())  # fmt: skip
    assert done.code == 0 and "warning: test split: the numbers of rows 3, 44" in done.err
    assert "warning: gaps: the numbers of row 3" in done.err
    numbers = json.loads(next(Path("run/evaluations").glob("*.json")).read_text())
    assert numbers["test/not_finite_rows"] == 2 and numbers["gaps/not_finite_rows"] == 1
    assert math.isfinite(numbers["gaps/ais_log_likelihood"])
