"""Refinement and inference gaps where the best q(z|x) and log p(x) are known."""

import pytest
import torch

from tests.support.models import batch_of, linear_vae
from vae_cli.config.schema import GapsConfig
from vae_cli.evaluation.estimators import elbo
from vae_cli.evaluation.inference_gaps import inference_gaps
from vae_cli.evaluation.linear_gaussian import linear_gaussian
from vae_cli.models import posteriors
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.refinement import Refinement, refine

STEPS = {"steps": 250, "samples": 16, "lr": 0.05}


def spoiled(posterior) -> torch.nn.Module:
    """A linear-Gaussian VAE whose encoder has forgotten what it knew."""
    model = linear_vae(posterior)
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("posterior", [posteriors.Diagonal, posteriors.FullCovariance])
def test_refinement_reaches_the_best_bound_of_its_family(posterior):
    model = spoiled(posterior)
    batch = batch_of(torch.randn(6, 5))
    exact = linear_gaussian(model)
    log_p = exact.marginal().log_prob(batch.x.double()).float()
    gap = model.posterior.best_gap(exact.precision) if posterior is posteriors.Diagonal else 0.0
    before = [parameter.clone() for parameter in model.parameters()]
    q = refine(model, batch, model.encode(batch), **STEPS)
    best = elbo(model, batch, q, 3000, 10**6).elbo
    torch.testing.assert_close(best, log_p - gap, atol=0.1, rtol=0)
    assert (best > elbo(model, batch, model.encode(batch), 3000, 10**6).elbo).all()
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_gaps_are_those_of_the_closed_form():
    model = spoiled(posteriors.Diagonal)
    exact = linear_gaussian(model)
    batch = batch_of(exact.marginal().sample(torch.Size((8,))).float())
    settings = GapsConfig(
        images=8,
        chains=8,
        temperatures=60,
        leapfrogs=5,
        refine_steps=100,
        refine_samples=16,
        refine_lr=0.05,
        elbo_samples=1000,
        iw_samples=2000,
    )
    found = {name: value.mean().item() for name, value in inference_gaps(model, batch, 10**6, settings).items()}
    log_p = exact.marginal().log_prob(batch.x.double()).mean().item()
    assert found["ais_log_likelihood"] == pytest.approx(log_p, abs=0.1)
    assert found["approximation"] == pytest.approx(model.posterior.best_gap(exact.precision), abs=0.15)
    assert found["amortisation"] > 0
    assert found["approximation"] + found["amortisation"] == pytest.approx(log_p - found["elbo"], abs=0.15)
    assert found["simulated_lower"] <= found["simulated_upper"] + 0.2


def semi_amortised(posterior, **settings) -> LatentVariableModel:
    model = spoiled(posterior)
    model.refinement = Refinement(**{"steps": 200, "train_steps": 4, "samples": 16, "lr": 0.05} | settings)
    return model


@pytest.mark.parametrize("posterior", [posteriors.Diagonal, posteriors.FullCovariance])
def test_an_encoder_learns_from_the_bound_that_the_steps_lead_to(posterior):
    """Its outputs have the gradient of the refined moments, which are where the steps end."""
    model, batch = semi_amortised(posterior), batch_of(torch.randn(6, 5))
    torch.manual_seed(0)
    q = model.encode(batch)
    torch.manual_seed(0)
    best = refine(model, batch, model.posterior(batch), steps=4, samples=16, lr=0.05)
    torch.testing.assert_close(q.mean, best.mean)
    spread = "covariance_matrix" if posterior is posteriors.FullCovariance else "variance"
    torch.testing.assert_close(getattr(q, spread), getattr(best, spread))
    weights = torch.randn_like(q.mean)
    (own,) = torch.autograd.grad((model.posterior(batch).mean * weights).sum(), model.posterior.encoder[1].bias)
    (through,) = torch.autograd.grad((q.mean * weights).sum(), model.posterior.encoder[1].bias)
    torch.testing.assert_close(own, through)


def test_what_is_evaluated_is_refined_by_steps_of_its_own():
    model = semi_amortised(posteriors.Diagonal)
    exact, batch = linear_gaussian(model), batch_of(torch.randn(6, 5))
    best = exact.marginal().log_prob(batch.x.double()).float() - model.posterior.best_gap(exact.precision)
    with torch.no_grad():
        q = model.eval().encode(batch)
    torch.testing.assert_close(elbo(model, batch, q, 3000, 10**6).elbo, best, atol=0.15, rtol=0)


def test_without_steps_in_training_the_encoder_is_trained_as_it_is():
    model, batch = semi_amortised(posteriors.Diagonal, train_steps=0), batch_of(torch.randn(6, 5))
    assert torch.equal(model.encode(batch).mean, model.posterior(batch).mean)


def test_what_is_refined_draws_its_noise_as_the_posterior_does():
    """From one stream for all processes."""
    model, batch = semi_amortised(posteriors.FullCovariance, train_steps=2), batch_of(torch.randn(6, 5))
    assert type(model.encode(batch)) is type(model.posterior(batch))
