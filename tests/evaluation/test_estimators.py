import math

import pytest
import torch

from tests.support.models import batch_of, binary_images, binary_vae, linear_vae
from vae_cli.evaluation.estimators import (
    bound_and_importance,
    elbo,
    iw_log_likelihood,
    prior_proposal,
    row_bytes,
    split,
)
from vae_cli.evaluation.linear_gaussian import linear_gaussian
from vae_cli.models import posteriors


@pytest.mark.parametrize("posterior", [posteriors.Diagonal, posteriors.FullCovariance])
def test_one_importance_sample_is_the_elbo_in_value_and_gradient(posterior):
    model, batch = binary_vae(posterior), batch_of(binary_images(6))
    gradients = []
    for bound in (lambda t: t.log_weight.logsumexp(0) - math.log(1), lambda t: t.log_weight.mean(0)):
        torch.manual_seed(3)
        trace = model.trace(batch, model.encode(batch), 1)
        value = bound(trace).sum()
        gradients.append((value, torch.autograd.grad(value, tuple(model.parameters()))))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_expected_bound_does_not_fall_with_k():
    model, batch = binary_vae(latent_dim=2), batch_of(binary_images(50))
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.mul_(2)
    encoded = model.encode(batch)

    def mean_bound(k):
        repeats = [iw_log_likelihood(model, batch, encoded, k, 4096).log_likelihood for _ in range(400 // k)]
        return float(torch.stack(repeats).mean())

    bounds = [mean_bound(k) for k in (1, 4, 20, 100)]
    assert bounds == sorted(bounds)
    assert bounds[0] == pytest.approx(float(elbo(model, batch, encoded, 400, 4096).elbo.mean()), abs=0.05)


@pytest.mark.parametrize("samples", [1, 5, 100])
@pytest.mark.parametrize("rows", [1, 6, 17, 10_000])
def test_k_is_exact_whatever_the_chunk(samples, rows):
    model, batch = linear_vae(posteriors.FullCovariance), batch_of(torch.randn(6, 5))
    result = iw_log_likelihood(model, batch, model.encode(batch), samples, rows)
    exact = linear_gaussian(model).marginal().log_prob(batch.x.double()).float()
    torch.testing.assert_close(result.log_likelihood, exact, atol=3e-4, rtol=0)
    assert sum(split(samples, max(1, rows // 6))) == samples


def test_the_standard_error_is_the_spread_of_repeated_estimates():
    model, batch = linear_vae(posteriors.Diagonal), batch_of(torch.randn(1, 5).repeat(4000, 1))
    estimate = iw_log_likelihood(model, batch, model.encode(batch), 50, rows=200_000)
    spread = float(estimate.log_likelihood.std())
    assert float(estimate.standard_error.mean()) == pytest.approx(spread, rel=0.1) and spread > 0.01


def test_a_bound_and_an_importance_weighted_estimate_share_their_draws():
    model, batch = binary_vae(), batch_of(binary_images(6))
    q = model.encode(batch)
    bound, importance = bound_and_importance(model, batch, q, 7, rows=24)
    torch.testing.assert_close(bound.elbo, -bound.distortion - bound.rate)
    torch.testing.assert_close(bound.rate, elbo(model, batch, q, 1, 100).rate)
    assert (importance.log_likelihood >= bound.elbo - 1).all() and importance.draws == 7


def test_sampling_from_the_prior_estimates_the_same_number_with_fewer_effective_samples():
    model, batch = linear_vae(posteriors.FullCovariance), batch_of(torch.randn(20, 5))
    exact = linear_gaussian(model).marginal().log_prob(batch.x.double()).float()
    result = iw_log_likelihood(model, batch, prior_proposal(model, batch), 20_000, 2**20)
    torch.testing.assert_close(result.log_likelihood, exact, atol=0.35, rtol=0)
    assert float((result.log_likelihood - exact).mean().abs()) < 0.05
    assert (result.effective_sample_size < 19_000).all()


def test_the_encoder_runs_once_for_each_image():
    model, batch = binary_vae(), batch_of(binary_images(4))
    calls = []
    model.posterior.encoder.register_forward_hook(lambda *_: calls.append(1))
    iw_log_likelihood(model, batch, model.encode(batch), 50, rows=8)
    assert len(calls) == 1


def test_row_bytes_counts_the_widest_layer_and_the_event():
    model = binary_vae()
    assert row_bytes(model) == 4 * (30 + 30 + 4 * 30)
