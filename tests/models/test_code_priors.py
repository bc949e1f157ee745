"""Priors over grids of codes, against enumeration, and the phase that fits a prior alone."""

import math
from itertools import product

import pytest
import torch

from tests.support.codes import CODEBOOKS, K, images, minimise, perturbed, vqvae
from tests.support.models import IMAGE, START, batch_of, binary_images, small_mlp
from vae_cli.evaluation.estimators import elbo, iw_log_likelihood
from vae_cli.models.code_distributions import Autoregressive, flat
from vae_cli.models.likelihoods import Bernoulli
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.posteriors import Diagonal
from vae_cli.models.priors import Gaussian
from vae_cli.objectives import ELBO, PriorFit, VectorQuantisation
from vae_cli.training.second_stage import PriorFitting


def all_grids(model: LatentVariableModel) -> torch.Tensor:
    """Vectors z (K^n, d) of every grid of codes."""
    indices = torch.tensor(list(product(range(K), repeat=model.posterior.n_positions)))
    return flat(model.posterior.codebook(indices)).detach()


def test_the_prior_is_uniform_until_it_is_trained():
    model, batch = vqvae(), batch_of(images(5))
    torch.testing.assert_close(model.prior().log_prob(all_grids(model)), torch.full((81,), -4 * math.log(K)))
    bound = elbo(model, batch, model.encode(batch), 1, 100)
    torch.testing.assert_close(bound.rate, torch.full((5,), 4 * math.log(K)))


def test_probabilities_of_all_grids_of_a_fitted_prior_sum_to_one_and_are_those_of_the_data():
    """Two by two codes: 81 grids, of which three are seen, one half of the time."""
    model = vqvae()
    seen = all_grids(model)[torch.tensor([5, 5, 40, 77])]
    minimise(lambda: -model.prior().log_prob(seen).mean(), model.prior.parameters(), 300, 2e-2)
    p = model.prior().log_prob(all_grids(model)).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(p[[5, 40, 77]], torch.tensor([0.5, 0.25, 0.25]), atol=0.03, rtol=0)


def test_draws_have_the_probabilities_they_are_given():
    model = vqvae()
    perturbed(model.prior)
    grids, p = all_grids(model), model.prior()
    draws = p.expand(torch.Size((5,))).sample(torch.Size((4000,)))
    assert draws.shape == (4000, 5, 8)
    found = (draws.reshape(-1, 1, 8) == grids).all(-1)
    assert (found.sum(1) == 1).all()
    probabilities = p.log_prob(grids).exp()
    errors = (probabilities * (1 - probabilities) / 20_000).sqrt()
    assert ((found.float().mean(0) - probabilities).abs() < 5 * errors + 5 / 20_000).all()


def test_each_index_depends_on_those_before_it_alone():
    model = vqvae()
    prior, indices = perturbed(model.prior), torch.randint(K, (6, 4))
    whole = prior.logits(indices[:, :-1])
    for i in range(4):
        torch.testing.assert_close(prior.logits(indices[:, :i]), whole[:, : i + 1])
    first = prior.logits(torch.zeros(1, 3, dtype=torch.int64))
    other = prior.logits(torch.tensor([[1, 0, 0]]))
    assert torch.equal(first[:, 0], other[:, 0]) and not torch.allclose(first[:, 1:], other[:, 1:])


def test_what_is_no_code_has_no_probability():
    model = vqvae()
    z = all_grids(model)[:4]
    z[2, 0] += 1e-4
    p = model.prior()
    assert isinstance(p, Autoregressive)
    assert p.log_prob(z).isfinite().tolist() == [True, True, False, True]
    assert p.log_prob(z[0]).shape == () and p.log_prob(z.expand(3, 4, 8)).shape == (3, 4)


def test_the_bound_is_one_term_of_the_sum_over_all_grids_and_importance_weights_add_nothing():
    model, batch = vqvae(), batch_of(images(6))
    perturbed(model.prior)
    grids, encoded = all_grids(model), model.encode(batch)
    joint = model.decode(grids.unsqueeze(1)).log_prob(batch.x) + model.prior().log_prob(grids).unsqueeze(1)
    log_px = joint.logsumexp(0)
    chosen = (grids.unsqueeze(1) == encoded.mean).all(-1).int().argmax(0)
    bound = elbo(model, batch, encoded, 1, 1000)
    torch.testing.assert_close(bound.elbo, joint.gather(0, chosen.unsqueeze(0))[0].detach())
    assert (bound.elbo < log_px).all()
    importance = iw_log_likelihood(model, batch, encoded, 7, 1000)
    torch.testing.assert_close(importance.log_likelihood, bound.elbo)


@pytest.mark.parametrize("family", CODEBOOKS)
def test_after_the_objective_only_the_prior_moves(family):
    """Adam's moments of the phase before and its weight decay leave the rest alone, and so do moving averages."""
    model, batch = vqvae(family=CODEBOOKS[family], restart_threshold=0.1), batch_of(images(30))
    objective, (phase,) = VectorQuantisation(commitment=0.25), PriorFitting(epochs=3).extend([], model)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=0.1)

    def steps(term) -> float:
        for _ in range(30):
            optimizer.zero_grad()
            loss = term(model, batch, START).loss
            loss.backward()
            optimizer.step()
        return loss.item()

    steps(objective)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rate = model.trace(batch, model.encode(batch), 1).rate.mean()
    assert rate.item() == pytest.approx(4 * math.log(K), rel=1e-6)
    phase.set_modes(model)
    assert not model.posterior.training and model.prior.training
    assert steps(phase.objective) < rate
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("prior.") for name in moved)


def test_a_gaussian_prior_fitted_alone_takes_the_moments_of_the_aggregated_posterior():
    """The best N(m, s^2) under E KL(q || p): m the mean of means, s^2 their variance and the mean of variances."""
    network = small_mlp()
    model = LatentVariableModel(Diagonal(network, IMAGE, 3), Gaussian(3), Bernoulli(network, 3, IMAGE), latent_dim=3)
    batch = batch_of(binary_images(50))
    minimise(lambda: PriorFit()(model, batch, START).loss, model.parameters(), 250, 3e-2)
    q, p = model.encode(batch), model.prior()
    torch.testing.assert_close(p.mean, q.mean.mean(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(p.variance, q.mean.var(0, unbiased=False) + q.variance.mean(0), atol=1e-2, rtol=1e-2)
    assert all(value.grad is None for value in model.posterior.parameters())
    rate = ELBO(beta=1.0, free_bits=0.0, samples=1)(model, batch, START).metrics["rate"]
    torch.testing.assert_close(rate, PriorFit()(model, batch, START).loss)
