"""Whole runs of the VQ-VAE in this process, on scikit-learn's digits."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

import vae_cli
from tests.support.configs import composed
from tests.support.evaluation import evaluated
from tests.support.training import assert_same_end, interrupted, train
from vae_cli.errors import ConfigError

VQ = (
    "model=vqvae", "dataset=digits", "network.channels=[4,8]", "model.latent_dim=4", "codebook.codes=16", "logger=csv",
    "trainer.max_epochs=2", "second_stage.epochs=2", "prior.head_width=4", "optimizer=adamw", "optimizer.lr=0.003",
    "codebook.decay=0.9", "dataset.batch_size=64",
)  # fmt: skip


@pytest.fixture(scope="module")
def quantised(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "quantised"
    return folder, train(composed(*VQ), folder, figures=True)


@pytest.mark.parametrize(
    ("kind", "position"),
    [
        pytest.param("batch", 11, marks=pytest.mark.slow),
        pytest.param("epoch", 1, marks=pytest.mark.slow),
        pytest.param("epoch", 2, marks=pytest.mark.slow),
        ("batch", 50),
    ],
)
def test_a_codebook_and_a_prior_over_it_resume_bit_identically(kind, position, quantised, tmp_path):
    """Twenty steps an epoch: in either phase, and between the two."""
    folder, whole = quantised
    results = interrupted(composed(*VQ), tmp_path, kind, position)
    assert_same_end(folder, tmp_path)
    assert results["test/elbo"] == whole["test/elbo"]


def test_a_vqvae_reports_the_bound_of_its_prior_and_nothing_that_needs_directions(quantised):
    folder, results = quantised
    assert results["train/epochs"] == 4 and results["train/steps"] == 80
    assert results["test/code_uniform_rate"] == pytest.approx(4 * np.log(16))
    assert results["test/rate"] < results["test/code_uniform_rate"]
    assert results["test/elbo"] == pytest.approx(-results["test/distortion"] - results["test/rate"])
    assert results["test/bits_per_dim"] == pytest.approx(-results["test/elbo"] / 64 / np.log(2), rel=1e-5)
    assert 1 < results["test/code_perplexity"] <= 16 and 0 < results["test/code_usage"] <= 1
    absent = ("iw_", "active", "mutual", "aggregated", "effective")
    assert not any(key.startswith(tuple(f"test/{name}" for name in absent)) for key in results)
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn == {"reconstructions", "samples", "code_usage", "training_curves"}
    with (folder / "metrics.csv").open() as file:
        first, *_, last = csv.DictReader(file)
    assert float(last["val/rate"]) < float(first["val/rate"]) == pytest.approx(4 * np.log(16))
    assert float(first["train/perplexity"]) > 1 and not last["train/perplexity"]


def test_codes_in_python(quantised):
    folder, results = quantised
    run = vae_cli.load(folder)
    x = torch.stack([run.data.test.x[i] for i in range(30)]).float() / 255
    q = run.encode(x)
    assert q.indices.shape == (30, 4) and q.mean.shape == (30, 16)
    assert run.decode(q.mean).mean.shape == x.shape and run.sample(5).shape == x[:5].shape
    assert torch.equal(run.log_likelihood(x, samples=50), run.log_likelihood(x, samples=1))
    assert float(run.log_likelihood(x).mean()) == pytest.approx(results["test/elbo"], abs=5)


def test_draws_from_the_prior_over_codes_give_a_bound_of_their_own(quantised, tmp_path):
    run = vae_cli.load(quantised[0])
    settings = replace(run.config.evaluate, estimator="prior", samples=50)
    loader = run.data.loader("test", batch_size=20, seed=0, shuffle=False, device=torch.device("cpu"))
    numbers = evaluated(run.model, [next(iter(loader))], settings, run.data)
    assert numbers["mc_samples"] == 50 and np.isfinite(numbers["mc_log_likelihood"])
    assert "iw_samples" not in numbers and "bits_per_dim" in numbers


def test_inference_gaps_of_codes_are_refused():
    with pytest.raises(ConfigError, match=r"evaluate\.gaps .* best Gaussian, posterior Quantised"):
        composed("dataset=digits", "model=vqvae", "evaluate=gaps")
