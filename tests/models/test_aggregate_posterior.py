"""The aggregated posterior against enumeration."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from vae_cli.distributions.gaussians import gaussian
from vae_cli.models.aggregate_posterior import decompose, information, log_minibatch_weights, log_stratified_weights
from vae_cli.models.trace import Latent

N, D = 12, 3


def posteriors(count: int = N) -> Independent:
    return gaussian(2 * torch.randn(count, D), 0.3 + torch.rand(count, D), 1)


def prior() -> Independent:
    return gaussian(torch.zeros(D), torch.ones(D), 1)


@pytest.mark.parametrize("weights", [log_minibatch_weights, log_stratified_weights])
def test_the_parts_sum_to_the_sampled_rate(weights):
    latent = Latent.draw(posteriors(), prior(), 1)
    parts = decompose(latent, weights(N, 1000, latent.z))
    total = parts.mutual_information + parts.total_correlation + parts.dimension_kl
    torch.testing.assert_close(total, (latent.log_q - latent.log_p).mean())


def test_with_the_data_set_as_the_batch_every_part_is_exact():
    latent = Latent.draw(posteriors(), prior(), 1)
    z, q = latent.z[0], latent.q.base_dist
    each = torch.stack([Normal(q.loc[n], q.scale[n]).log_prob(z) for n in range(N)])
    log_q = each.sum(-1).logsumexp(0) - math.log(N)
    log_factors = (each.logsumexp(0) - math.log(N)).sum(-1)
    for weights in (log_minibatch_weights(N, N, z) + math.log(N), log_stratified_weights(N, N, z)):
        parts = decompose(latent, weights)
        torch.testing.assert_close(parts.total_correlation, (log_q - log_factors).mean(), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(parts.dimension_kl, (log_factors - latent.log_p[0]).mean(), atol=1e-4, rtol=1e-4)


def test_stratified_weights_average_to_those_of_the_whole_data_set():
    """Over all batches, q(z) is estimated without bias: each row of weights sums to 1, a code's own image to 1/N."""
    weights = log_stratified_weights(4, 10, torch.zeros(1)).exp()
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    torch.testing.assert_close(weights.diagonal(), torch.full((4,), 0.1))
    assert log_stratified_weights(1, 10, torch.zeros(1)).item() == 0


def test_information_sums_to_the_mean_rate_and_is_bounded_by_log_n():
    q, p = posteriors(), prior()
    draws = q.sample(torch.Size((4000,)))
    log_q = q.log_prob(draws)
    parts = [gaussian(q.base_dist.loc[a:b], q.base_dist.scale[a:b], 1) for a, b in ((0, 5), (5, N))]
    found = information(parts, p, draws.flatten(0, 1), log_q.flatten())
    rate = float((log_q - p.log_prob(draws)).mean())
    assert found.mutual_information + found.aggregated_kl == pytest.approx(rate, abs=1e-3)
    assert 0 < found.mutual_information <= math.log(N) + 1e-4
    assert found.aggregated_kl > 0


def test_images_that_cannot_be_told_apart_carry_no_information():
    q = gaussian(torch.zeros(N, D), torch.ones(N, D), 1)
    z = q.sample(torch.Size((50,))).flatten(0, 1)
    found = information([q], prior(), z, prior().log_prob(z))
    assert found.mutual_information == pytest.approx(0, abs=1e-4) and found.aggregated_kl == pytest.approx(0, abs=1e-4)
