"""Linear-Gaussian models, where every number has an exact value."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from tests.support.models import START, batch_of, binary_vae, linear_vae
from vae_cli.evaluation import estimators
from vae_cli.evaluation.linear_gaussian import linear_gaussian
from vae_cli.models import likelihoods, posteriors, priors
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.networks import Linear
from vae_cli.objectives import ELBO


@pytest.fixture
def x():
    return torch.randn(40, 5)


def log_px(model, x):
    return linear_gaussian(model).marginal().log_prob(x.double()).float()


def test_marginal_against_scipy(x):
    model = linear_vae(posteriors.FullCovariance)
    weight, bias = (
        p.detach().double().numpy() for p in (model.likelihood.decoder[0].weight, model.likelihood.decoder[0].bias)
    )
    oracle = multivariate_normal(bias, weight @ weight.T + 0.7**2 * np.eye(5)).logpdf(x.numpy())
    torch.testing.assert_close(log_px(model, x), torch.tensor(oracle).float())


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_exact_posterior_makes_every_bound_exact(x, samples):
    model, batch = linear_vae(posteriors.FullCovariance), batch_of(x)
    encoded = model.encode(batch)
    weights = model.trace(batch, encoded, samples).log_weight
    torch.testing.assert_close(weights, log_px(model, x).expand(samples, -1), atol=2e-4, rtol=0)
    importance = estimators.iw_log_likelihood(model, batch, encoded, samples, rows=64)
    torch.testing.assert_close(importance.log_likelihood, log_px(model, x), atol=2e-4, rtol=0)
    torch.testing.assert_close(importance.effective_sample_size, torch.full((40,), float(samples)), rtol=1e-3, atol=0)


def test_best_diagonal_posterior_has_the_gap_in_closed_form(x):
    model, batch = linear_vae(posteriors.Diagonal), batch_of(x)
    exact = linear_gaussian(model)
    gap = model.posterior.best_gap(exact.precision)
    assert gap > 1e-3
    bound = estimators.elbo(model, batch, model.encode(batch), 20_000, 40_000)
    torch.testing.assert_close(log_px(model, x) - bound.elbo, torch.full((40,), gap), atol=0.05, rtol=0)
    assert float((log_px(model, x) - bound.elbo).mean()) == pytest.approx(gap, abs=0.01)


def test_best_diagonal_posterior_is_a_stationary_point_of_the_elbo(x):
    model, batch = linear_vae(posteriors.Diagonal), batch_of(x.repeat(50, 1))
    objective = ELBO(beta=1.0, free_bits=0.0, samples=50)
    objective(model, batch, START).loss.backward()
    assert float(model.posterior.encoder[1].bias.grad.abs().max()) < 0.02


def test_other_families_have_no_closed_form():
    assert linear_gaussian(binary_vae()) is None
    model = linear_vae(posteriors.Deterministic)
    assert model.posterior.best_gap(linear_gaussian(model).precision) is None


def test_vanishing_posterior_variance_is_a_regularised_autoencoder():
    """-2 s^2 ELBO -> |x - f(mu)|^2 + s^2 |mu|^2 + constants as sigma_phi -> 0 (mission item 3)."""
    d, dims, scale = 2, 5, 0.3
    network = Linear()
    model = LatentVariableModel(
        posteriors.Diagonal(network, (dims,), d),
        priors.Normal(d),
        likelihoods.Gaussian(network, d, (dims,), scale=scale),
        latent_dim=d,
    )
    log_variance = -18.0
    with torch.no_grad():
        model.posterior.encoder[1].weight[d:] = 0
        model.posterior.encoder[1].bias[d:] = log_variance
    batch = batch_of(torch.randn(30, dims))
    encoded = model.encode(batch)
    bound = estimators.elbo(model, batch, encoded, 10, 100)
    decoded = model.decode(encoded.mean.unsqueeze(0)).mean[0]
    limit = (batch.x - decoded).square().sum(1) + scale**2 * encoded.mean.square().sum(1)
    constant = dims * np.log(2 * np.pi * scale**2) - d * (1 + log_variance)
    torch.testing.assert_close(-2 * scale**2 * bound.elbo, limit + scale**2 * constant, atol=2e-3, rtol=1e-4)
