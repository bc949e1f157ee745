"""Scores of codes whose disentanglement is known: factors themselves, mixtures of them, noise."""

import itertools
import json
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import hadamard

from tests.support.commands import fork
from vae_cli.evaluation.disentanglement import (
    MOST,
    Disentanglement,
    concentration,
    dci,
    disentanglement,
    factorvae_score,
    mig,
    sap,
)

SIZES = (3, 4, 5, 6)
RNG = np.random.default_rng(0)
GRID = RNG.permutation(np.array(list(itertools.product(*map(range, SIZES))) * 4))  # each combination four times
UNIT = (GRID - GRID.mean(0)) / GRID.std(0)
PERFECT = GRID[:, [2, 0, 3, 1]] * [3.0, -0.5, 10, 2] + [0, 7, -1, 0]
SHARED = UNIT @ hadamard(4) / 2  # every dimension holds the same share of every factor
ROTATED = UNIT @ np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
NOISE = RNG.normal(size=(len(GRID), 6))


def test_codes_that_are_the_factors_score_one():
    scores = disentanglement(PERFECT, GRID, 0.01, seed=0)
    assert scores.mig == pytest.approx(1)  # exact: factors of a whole grid share no information
    assert scores.dci_disentanglement == pytest.approx(1) and scores.dci_completeness == pytest.approx(1)
    assert scores.dci_informativeness == 1 and scores.factorvae_score == 1
    # the runner-up knows nothing of a factor, so that it is right once in K on average
    assert scores.sap == pytest.approx(1 - np.mean([1 / size for size in SIZES]), abs=0.05)


def test_scores_by_their_formulas():
    """A dimension that halves a factor of four values: I = log 2 of H = log 4."""
    grid = np.array(list(itertools.product(range(4), range(2))) * 100)
    halves = np.stack([grid[:, 0] // 2, grid[:, 1]], 1).astype(float)
    assert mig(halves, grid) == pytest.approx((0.5 + 1) / 2)
    assert concentration(np.array([[1.0, 0], [0.5, 0.5]])) == pytest.approx((1 + 0) / 2)
    assert concentration(np.array([[0.75, 0.25], [0, 0]])) == pytest.approx(1 - 0.5623351 / np.log(2))
    assert concentration(np.zeros((2, 3))) == 0


def test_a_factor_in_two_dimensions_is_disentangled_but_not_complete():
    copied = np.concatenate([PERFECT, PERFECT], 1)
    scores = dci(copied, GRID, seed=0)
    assert scores.disentanglement == pytest.approx(1) and scores.informativeness == 1
    assert scores.completeness == pytest.approx(1 - np.log(2) / np.log(8), abs=0.1)
    assert mig(copied, GRID) == pytest.approx(0) and sap(copied, GRID) == pytest.approx(0)
    assert factorvae_score(copied, GRID, 0.01, seed=0) == 1


@pytest.mark.parametrize("codes", [SHARED, ROTATED], ids=["shared", "rotated"])
def test_a_rotation_of_the_factors_scores_lower(codes):
    scores = disentanglement(codes, GRID, 0.01, seed=0)
    assert scores.mig < 0.4 and scores.sap < 0.4
    assert scores.dci_disentanglement < 0.6 and scores.dci_completeness < 0.6
    if codes is SHARED:
        assert scores.mig < 0.1 and scores.dci_disentanglement < 0.1 and scores.factorvae_score < 0.45


def test_noise_scores_nothing():
    scores = disentanglement(NOISE, GRID, 0.01, seed=0)
    assert scores.mig == pytest.approx(0, abs=0.02) and scores.sap == pytest.approx(0, abs=0.05)
    assert scores.dci_disentanglement < 0.02 and scores.dci_completeness < 0.02
    assert scores.dci_informativeness == pytest.approx(np.mean([1 / size for size in SIZES]), abs=0.05)
    assert scores.factorvae_score == pytest.approx(0.25, abs=0.08)  # five standard errors of 800 votes


def test_the_order_of_dimensions_does_not_matter_and_a_seed_repeats():
    codes = np.concatenate([ROTATED + 0.1 * NOISE[:, :4], NOISE[:, 4:]], 1)
    permuted = codes[:, [5, 2, 0, 4, 1, 3]]
    assert mig(permuted, GRID) == pytest.approx(mig(codes, GRID))
    assert sap(permuted, GRID) == pytest.approx(sap(codes, GRID))
    one, two = dci(permuted, GRID, seed=0), dci(codes, GRID, seed=0)
    assert astuple(one) == pytest.approx(astuple(two), abs=0.03)  # a forest visits dimensions in random order
    assert factorvae_score(permuted, GRID, 0.01, seed=0) == factorvae_score(codes, GRID, 0.01, seed=0)
    assert disentanglement(codes, GRID, 0.01, seed=1) == disentanglement(codes, GRID, 0.01, seed=1)


def test_dimensions_that_are_not_active_do_not_vote():
    idle = np.concatenate([PERFECT, np.full((len(GRID), 2), 0.3)], 1)
    assert factorvae_score(idle, GRID, 0.01, seed=0) == 1
    assert factorvae_score(1e-3 * PERFECT, GRID, 0.01, seed=0) == 0.25
    collapsed = disentanglement(np.zeros((len(GRID), 3)), GRID, 0.01, seed=0)
    assert (collapsed.mig, collapsed.sap, collapsed.dci_disentanglement, collapsed.factorvae_score) == (0, 0, 0, 0.25)


def test_one_dimension_is_enough():
    scores = disentanglement(PERFECT[:, :1], GRID, 0.01, seed=0)
    assert scores.mig == pytest.approx(1 / 4) and scores.dci_completeness == pytest.approx(1)
    assert scores.dci_disentanglement == pytest.approx(0)  # the forests of all factors have nothing else to split at


def test_of_many_examples_some_are_taken():
    copies = MOST // len(GRID) + 2
    scores = disentanglement(np.tile(PERFECT, (copies, 1)), np.tile(GRID, (copies, 1)), 0.01, seed=0)
    assert 0.9 < scores.mig < 1 and scores.factorvae_score == 1


def evaluated(work: Path, *arguments: str) -> dict[str, float]:
    """The numbers of a vae-eval, which are written to a file of their own."""
    before = set(work.glob("run/evaluations/*.json"))
    done = fork("vae-eval", "run=run", "evaluate.samples=2", "trainer.accelerator=cpu", *arguments, folder=work)
    assert (done.code, done.err) == (0, ""), done.err
    (file,) = set(work.glob("run/evaluations/*.json")) - before
    return json.loads(file.read_text())


def test_a_run_on_shapes_is_scored_and_vae_eval_scores_it_again(workplace):
    sizes = [f"dataset.{name}=600" for name in ("train_size", "test_size")] + ["dataset.val_size=50"]
    small = ["network.hidden=[16]", "model.latent_dim=3", "trainer.max_epochs=1", "evaluate.samples=2"]
    place = ["logger=none", "trainer.accelerator=cpu", "hydra.run.dir=run"]
    done = fork("vae-train", "dataset=shapes", *sizes, *small, *place, folder=workplace)
    assert (done.code, done.err) == (0, ""), done.err
    results = json.loads(Path("run/results.json").read_text())
    names = [field.name for field in fields(Disentanglement)]
    assert all(0 <= results[f"test/{name}"] <= 1 and f" test/{name} " in done.out for name in names)
    again = evaluated(workplace)
    assert [again[f"test/{name}"] for name in names] == [results[f"test/{name}"] for name in names]
    assert "val/mig" not in evaluated(workplace, "evaluate.split=val")  # fifty examples are too few
