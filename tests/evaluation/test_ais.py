"""Annealed importance sampling where log p(x) is known exactly."""

import pytest
import torch

from tests.support.models import batch_of, linear_vae
from vae_cli.evaluation.ais import Path, ais_log_likelihood, bidirectional, hamiltonian, temperatures
from vae_cli.evaluation.linear_gaussian import linear_gaussian
from vae_cli.models import posteriors


def simulated(count: int = 12):
    model = linear_vae(posteriors.Diagonal, scale=0.4)
    z = model.prior().sample(torch.Size((count,)))
    batch = batch_of(model.decode(z[None]).sample()[0])
    return model, batch, z, linear_gaussian(model).marginal().log_prob(batch.x.double()).float()


def test_temperatures_rise_from_zero_to_one():
    t = temperatures(30)
    assert len(t) == 31 and t[0] == 0 and t[-1] == 1 and (t.diff() > 0).all()


def test_hamiltonian_moves_keep_the_posterior():
    """Chains that start at exact posterior samples stay distributed as they were."""
    model, batch, _, _ = simulated(1)
    exact = linear_gaussian(model)
    covariance = torch.linalg.inv(exact.precision)
    mean = covariance @ exact.weight.T @ ((batch.x[0].double() - exact.bias) / exact.scale.square())
    target = torch.distributions.MultivariateNormal(mean.float(), covariance.float())
    z = target.sample(torch.Size((4000, 1)))
    path = Path(model, batch, model.prior().expand(torch.Size((1,))))
    accepted = []
    for _ in range(10):
        z, kept = hamiltonian(path, z, 1.0, torch.full((1,), 0.15), 5)
        accepted.append(kept.float().mean())
    assert 0.5 < torch.stack(accepted).mean() <= 1
    torch.testing.assert_close(z[:, 0].mean(0), target.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(z[:, 0].T.cov(), covariance.float(), atol=0.05, rtol=0.1)


@pytest.mark.parametrize("start", [pytest.param("prior", marks=pytest.mark.slow), "posterior"])
def test_ais_finds_the_exact_likelihood(start):
    model, batch, _, exact = simulated()
    proposal = model.prior().expand(torch.Size((len(batch),))) if start == "prior" else model.encode(batch)
    few, many = (ais_log_likelihood(model, batch, proposal, 32, count, 5) for count in (5, 120))
    assert (many - exact).abs().max() < 0.25
    assert (many - exact).abs().mean() <= (few - exact).abs().mean() + 0.02


def test_the_sandwich_holds_and_closes():
    model, batch, z, exact = simulated()
    widths = []
    for count in (10, 100):
        bounds = bidirectional(model, batch, z, 8, count, 5)
        assert bounds.lower.mean() <= exact.mean() + 0.05
        assert bounds.upper.mean() >= exact.mean() - 0.05
        widths.append(float((bounds.upper - bounds.lower).mean()))
    assert widths[1] < 0.15 < widths[0]
