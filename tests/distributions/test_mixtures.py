"""Mixture priors against scikit-learn, enumeration and closed forms."""

import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.distributions import MixtureSameFamily, MultivariateNormal, kl_divergence

from tests.support.models import batch_of, linear_mixture_vae, mixture_vae
from vae_cli.distributions.distributions import Delta
from vae_cli.distributions.gaussians import gaussian
from vae_cli.distributions.mixtures import (
    Aggregate,
    assigned_rate,
    expected_log_joint,
    faults,
    is_mixture,
    log_joint,
    log_responsibilities,
    mixture,
)
from vae_cli.evaluation.estimators import elbo, iw_log_likelihood
from vae_cli.evaluation.linear_gaussian import linear_mixture
from vae_cli.models import posteriors
from vae_cli.models.priors import ExPostGaussianMixture

K, D, B = 4, 3, 6


def random_mixture(components: int = K):
    return mixture(torch.randn(components), 2 * torch.randn(components, D), 0.3 + torch.rand(components, D))


def random_posterior(kind: str):
    if kind == "diagonal":
        return gaussian(torch.randn(B, D), 0.2 + torch.rand(B, D), 1)
    tril = torch.tril(0.4 * torch.randn(B, D, D), -1) + torch.diag_embed(0.2 + torch.rand(B, D))
    return MultivariateNormal(torch.randn(B, D), scale_tril=tril)


def component(p, c: int):
    parts = p.component_distribution
    return gaussian(parts.mean[c], parts.stddev[c], 1)


def test_responsibilities_of_points_are_those_of_scikit_learn():
    points = np.concatenate([np.random.default_rng(k).normal(3 * k, 1 + k, (200, D)) for k in range(K)])
    oracle = GaussianMixture(K, covariance_type="diag", random_state=0).fit(points)
    logits, means, variances = (torch.as_tensor(a) for a in (oracle.weights_, oracle.means_, oracle.covariances_))
    p, z = mixture(logits.log(), means, variances.sqrt()), torch.as_tensor(points)
    expected = torch.as_tensor(oracle.predict_proba(points))
    torch.testing.assert_close(log_joint(p, z).log_softmax(-1).exp(), expected)
    torch.testing.assert_close(log_responsibilities(p, Delta(z)).exp(), expected)
    torch.testing.assert_close(p.log_prob(z), torch.as_tensor(oracle.score_samples(points)))


@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_expected_log_joint_is_the_kl_to_each_component(kind):
    p, q = random_mixture(), random_posterior(kind)
    for c in range(K):
        torch.testing.assert_close(
            expected_log_joint(p, q)[:, c],
            p.mixture_distribution.logits[c] - kl_divergence(q, component(p, c).expand((B,))) - q.entropy(),
        )


@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_the_order_of_the_bounds(kind):
    """Marginal mixture <= optimal gamma <= any gamma fixed by x, as rates; the first by Monte Carlo."""
    p, q = random_mixture(), random_posterior(kind)
    z = q.sample(torch.Size((20_000,)))
    draws = q.log_prob(z) - p.log_prob(z)
    marginal, error = draws.mean(0), draws.std(0) / math.sqrt(len(z))
    optimal = assigned_rate(p, q, log_responsibilities(p, q))
    assert (marginal <= optimal + 4 * error).all()
    torch.testing.assert_close(optimal, -expected_log_joint(p, q).logsumexp(-1) - q.entropy())
    for _ in range(20):
        assert (assigned_rate(p, q, (3 * torch.randn(B, K)).log_softmax(-1)) >= optimal - 1e-5).all()
    for c in range(K):
        held = torch.full((B, K), -torch.inf)
        held[:, c] = 0.0
        expected = kl_divergence(q, component(p, c).expand((B,))) - p.mixture_distribution.logits[c]
        torch.testing.assert_close(assigned_rate(p, q, held), expected)
    # the excess is E_q KL(gamma || p(c|z))
    gamma = log_responsibilities(p, q)
    excess = (gamma.exp() * (gamma - log_joint(p, z).log_softmax(-1))).sum(-1)
    torch.testing.assert_close(optimal - marginal, excess.mean(0), atol=5 * float(excess.std() / 100), rtol=0.05)


def test_components_may_be_permuted():
    p, q = random_mixture(), random_posterior("diagonal")
    order = torch.randperm(K)
    parts = p.component_distribution
    other = mixture(p.mixture_distribution.logits[order], parts.mean[order], parts.stddev[order])
    torch.testing.assert_close(log_responsibilities(other, q), log_responsibilities(p, q)[:, order])
    z = torch.randn(9, D)
    torch.testing.assert_close(other.log_prob(z), p.log_prob(z))


def test_one_component_is_the_plain_vae():
    """Bounds and importance weights with K = 1 at N(0, I) are those of the standard normal prior."""
    model, plain, batch = mixture_vae(components=1)
    with torch.no_grad():
        model.prior.means.zero_()
    q = model.encode(batch)
    torch.testing.assert_close(
        assigned_rate(model.prior(), q, torch.zeros(len(batch), 1)), kl_divergence(q, plain.prior())
    )
    torch.manual_seed(3)
    ours = iw_log_likelihood(model, batch, q, 7, 100)
    torch.manual_seed(3)
    theirs = iw_log_likelihood(plain, batch, q, 7, 100)
    torch.testing.assert_close(ours.log_likelihood, theirs.log_likelihood, atol=1e-4, rtol=1e-5)
    many = [elbo(m, batch, q, 3000, 10_000).rate.mean() for m in (model, plain)]
    torch.testing.assert_close(many[0], many[1], atol=0.05, rtol=0.01)


def test_a_linear_decoder_has_an_exact_likelihood_and_exact_clusters():
    """p(x) and p(c|x) of a mixture prior under a linear decoder, against importance sampling."""
    model, x = linear_mixture_vae()
    batch = batch_of(x)
    exact = linear_mixture(model)
    log_px = exact.log_prob(x.double())
    encoded = model.encode(batch)
    trace = model.trace(batch, encoded, 40_000)
    weights = trace.log_weight.double()
    torch.testing.assert_close(weights.logsumexp(0) - math.log(len(weights)), log_px, atol=0.05, rtol=0)
    assert elbo(model, batch, encoded, 2000, 10_000).elbo.mean() < log_px.mean()
    shares = log_joint(model.prior(), trace.latents[0].z).log_softmax(-1).exp().double()
    estimate = (weights.softmax(0).unsqueeze(-1) * shares).sum(0)
    truth = (
        exact.mixture_distribution.logits + exact.component_distribution.log_prob(x.double().unsqueeze(1))
    ).softmax(-1)
    torch.testing.assert_close(estimate, truth, atol=0.05, rtol=0)


def test_a_fitted_mixture_of_full_covariances_has_an_exact_likelihood_too():
    model, _ = linear_mixture_vae()
    prior = ExPostGaussianMixture(2, components=2, restarts=1, covariance_floor=1e-6).eval()
    prior.fit(torch.randn(200, 2) @ torch.tensor([[1.0, 0.8], [0.0, 0.3]]), seed=0)
    model.prior = prior
    x = model.decode(prior().sample(torch.Size((1, 5)))).sample()[0]
    exact = linear_mixture(model).log_prob(x.double())
    likelihoods = model.decode(prior().sample(torch.Size((200_000, 1)))).log_prob(x.unsqueeze(0))
    torch.testing.assert_close(likelihoods.double().logsumexp(0) - math.log(200_000), exact, atol=0.3, rtol=0)


def test_faults_name_what_is_wrong():
    means = torch.tensor([[0.0, 0.0], [0.05, 0.0], [9.0, 0.0], [0.0, 9.0], [-9.0, 0.0]])
    scales = torch.ones(5, 2)
    scales[2, 1], scales[3, 0] = 0.01, 1e5
    found = faults(mixture(torch.tensor([0.0, 0.0, 0.0, 0.0, -9.0]), means, scales), 0.01)
    assert set(found) == {"merged 0, 1", "narrow 2", "wide 3", "empty 4"}
    assert faults(mixture(torch.zeros(3), means[2:], torch.ones(3, 2)), 0.01) == {}


def test_far_away_points_keep_finite_responsibilities():
    p, q = random_mixture(), gaussian(torch.full((2, D), 1e4), torch.full((2, D), 1e-3), 1)
    assert log_responsibilities(p, q).isfinite().all()
    assert assigned_rate(p, q, log_responsibilities(p, q)).isfinite().all()
    assert is_mixture(p) and not is_mixture(q)


def test_full_covariance_posteriors_have_responsibilities():
    model, _, batch = mixture_vae(components=3, posterior=posteriors.FullCovariance)
    gamma = log_responsibilities(model.prior(), model.encode(batch)).exp()
    torch.testing.assert_close(gamma.sum(-1), torch.ones(len(batch)))


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_an_aggregate_of_narrow_gaussians_is_that_of_torch_in_value_and_gradient(spread):
    loc, scale = spread * torch.randn(9, 5), (torch.randn(9, 5) - 3).exp()
    z = loc[torch.randint(9, (4, 6))] + scale.mean() * torch.randn(4, 6, 5)

    def slopes(log_prob, dtype):
        leaves = [t.to(dtype).requires_grad_() for t in (loc, scale, z)]
        value = log_prob(Aggregate(gaussian(leaves[0], leaves[1], 1)), leaves[2])
        return value, *torch.autograd.grad(value.sum(), leaves)

    ours, exact = slopes(Aggregate.log_prob, torch.float32), slopes(MixtureSameFamily.log_prob, torch.float64)
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-3)
