"""Categorical latents against sums over all their values."""

import math
from itertools import product

import pytest
import torch
from torch.distributions import kl_divergence
from torch.nn.functional import one_hot

from tests.support.configs import composed
from tests.support.models import batch_of, small_mlp
from vae_cli.batch import Batch
from vae_cli.errors import ConfigError
from vae_cli.evaluation.estimators import elbo, iw_log_likelihood
from vae_cli.models.categorical import (
    CategoricalLatents,
    CategoricalPosterior,
    LearnedCategorical,
    UniformCategorical,
)
from vae_cli.models.likelihoods import Bernoulli
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives import ELBO, Progress

N, K, IMAGE = 3, 2, (1, 2, 2)


def model_of(prior: type, enumerated: int = K**N) -> LatentVariableModel:
    network = small_mlp()
    posterior = CategoricalPosterior(network, IMAGE, N * K, categories=K, temperature=0.5, enumerated=enumerated)
    model = LatentVariableModel(posterior, prior(N * K, posterior), Bernoulli(network, N * K, IMAGE), latent_dim=N * K)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def images() -> Batch:
    """All 16 binary images of 2 x 2 pixels."""
    return batch_of(torch.tensor(list(product([0.0, 1.0], repeat=4))).reshape(-1, *IMAGE))


def joint(model: LatentVariableModel, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """log p(x, z) and log q(z|x), (K^N, B), term by term."""
    log_p, log_q = [], []
    probabilities = model.encode(batch_of(x)).mean.reshape(-1, N, K)
    prior = model.prior().mean.reshape(N, K)
    for values in product(range(K), repeat=N):
        z = one_hot(torch.tensor(values), K).float().flatten()
        pixels = model.decode(z.expand(1, len(x), -1)).mean[0]
        log_px = torch.where(x == 1, pixels, 1 - pixels).log().flatten(1).sum(1)
        log_p.append(log_px + sum(prior[i, v].log() for i, v in enumerate(values)))
        log_q.append(sum(probabilities[:, i, v].log() for i, v in enumerate(values)))
    return torch.stack(log_p), torch.stack(log_q)


@pytest.mark.parametrize("prior", [UniformCategorical, LearnedCategorical])
def test_the_marginal_over_all_codes_of_an_image_is_exact_and_sums_to_one(prior):
    model, batch = model_of(prior), images()
    exact = joint(model, batch.x)[0].logsumexp(0)
    for samples in (1, 7):
        estimate = iw_log_likelihood(model, batch, model.encode(batch), samples, rows=10_000)
        assert torch.allclose(estimate.log_likelihood, exact, atol=1e-5)
        assert (estimate.effective_sample_size <= K**N + 1e-4).all()
    assert exact.exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("prior", [UniformCategorical, LearnedCategorical])
def test_bound_and_its_gradient_are_sums_over_all_codes(prior):
    model, batch = model_of(prior), images()
    log_p, log_q = joint(model, batch.x)
    exact = (log_q.exp() * (log_p - log_q)).sum(0)
    bound = elbo(model, batch, model.encode(batch), samples=1, rows=10_000)
    assert torch.allclose(bound.elbo, exact, atol=1e-5)
    parameters = list(model.parameters())
    loss = ELBO(beta=1.0, free_bits=0.0, samples=1)(model, batch, Progress(0.0, len(batch))).loss
    assert torch.allclose(loss, -exact.mean(), atol=1e-5)
    for own, right in zip(*(torch.autograd.grad(one, parameters) for one in (loss, -exact.mean())), strict=True):
        assert torch.allclose(own, right, atol=1e-5)


def test_sampled_latents_estimate_the_sums():
    model, batch = model_of(LearnedCategorical, enumerated=0), images()
    log_p, log_q = joint(model, batch.x)
    q = model.encode(batch)
    estimate = iw_log_likelihood(model, batch, q, 20_000, rows=100_000)
    assert torch.allclose(estimate.log_likelihood, log_p.logsumexp(0), atol=0.05)
    bound = elbo(model, batch, q, samples=20_000, rows=100_000)
    assert torch.allclose(bound.elbo, (log_q.exp() * (log_p - log_q)).sum(0), atol=0.05)


def test_draws_are_one_hot_with_the_probabilities_and_have_the_gradient_of_the_relaxation():
    logits = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.0]], requires_grad=True)
    q = CategoricalLatents(logits, temperature=0.5)
    z = q.rsample(torch.Size((20_000,)))
    assert ((z.detach() - z.detach().round()).abs() < 1e-6).all()
    assert torch.equal(z.detach().round().unflatten(-1, (2, 3)).sum(-1), torch.ones(20_000, 2))
    assert torch.allclose(z.detach().mean(0), q.mean, atol=0.015)
    assert torch.allclose(z.detach().var(0), q.variance, atol=0.015)
    torch.manual_seed(1)
    (own,) = torch.autograd.grad(q.rsample()[0], logits)
    torch.manual_seed(1)
    noise = -torch.empty_like(logits).exponential_().log()
    relaxed = ((torch.log_softmax(logits, -1) + noise) / 0.5).softmax(-1)
    (right,) = torch.autograd.grad(relaxed[0, 0], logits)
    assert torch.allclose(own, right, atol=1e-6)


def test_divergence_in_closed_form():
    q, p = (CategoricalLatents(torch.randn(4, N, K)) for _ in range(2))
    z = CategoricalLatents(torch.zeros(N, K)).values()
    log_q, log_p = (one.log_prob(z.unsqueeze(1)) for one in (q, p))
    assert torch.allclose(log_q.exp().sum(0), torch.ones(4))
    assert torch.allclose(kl_divergence(q, p), (log_q.exp() * (log_q - log_p)).sum(0), atol=1e-6)
    uniform = CategoricalLatents(torch.zeros(N, K))
    assert torch.allclose(uniform.log_prob(z), torch.full((K**N,), -N * math.log(K)))


@pytest.mark.parametrize(
    ("overrides", "rule", "key"),
    [
        (["model.latent_dim=10"], "categories_divide", "model.latent_dim"),
        (["model.latent_dim=8", "posterior.categories=1"], "categories_divide", "model.latent_dim"),
        (["model.latent_dim=8", "prior=normal"], "capabilities", None),
        (["model.latent_dim=8", "posterior=diagonal"], "capabilities", None),
        (["model.latent_dim=8", "objective=tcvae"], "capabilities", None),
        (["model.latent_dim=8", "objective=iwae"], "capabilities", None),
        (["model.latent_dim=8", "objective=infovae", "divergence=mmd"], "capabilities", None),
        (["model.latent_dim=8", "evaluate=gaps"], "gaps_posterior", None),
    ],
)
def test_refused(overrides, rule, key):
    with pytest.raises(ConfigError) as error:
        composed("dataset=digits", "posterior=categorical", "prior=categorical", *overrides)
    assert error.value.rule == rule
    assert key is None or error.value.key == key
