import pytest
import torch

from tests.support.models import IMAGE, batch_of, binary_images, small_mlp
from vae_cli.distributions.distributions import PushforwardDistribution
from vae_cli.distributions.mixtures import log_responsibilities
from vae_cli.distributions.quadrature import normal_points
from vae_cli.models.posteriors import (
    AutoregressiveFlow,
    CouplingFlow,
    Deterministic,
    Diagonal,
    FixedScale,
    FullCovariance,
)
from vae_cli.models.priors import GaussianMixturePrior

FLOW = {"steps": 2, "hidden": [8], "context": 3}
FLOWS = {
    "autoregressive": lambda network, shape, d: AutoregressiveFlow(network, shape, d, **FLOW),
    "coupling": lambda network, shape, d: CouplingFlow(network, shape, d, **FLOW),
}
FAMILIES = {
    "diagonal": Diagonal,
    "fixed_scale": lambda network, shape, d: FixedScale(network, shape, d, scale=0.5),
    "full": FullCovariance,
    "deterministic": Deterministic,
    **FLOWS,
}


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    """Away from where it starts."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("latent_dim", [1, 4])
def test_contract(name, latent_dim):
    family = FAMILIES[name]
    posterior, batch = perturbed(family(small_mlp(), IMAGE, latent_dim)), batch_of(binary_images(7))
    q = posterior(batch)
    z = q.rsample(torch.Size((5,)))
    assert q.batch_shape == (7,) and q.event_shape == (latent_dim,)
    assert z.shape == (5, 7, latent_dim) and q.mean.shape == (7, latent_dim)

    value = (q.log_prob(z) if "density" in posterior.provides else z.sum(-1)).sum() + z.square().sum()
    value.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in posterior.parameters())

    other = family(small_mlp(), IMAGE, latent_dim)
    other.load_state_dict(posterior.state_dict())
    assert torch.equal(other(batch).mean, q.mean)


def test_full_covariance_is_positive_definite_and_reaches_every_entry():
    posterior = FullCovariance(small_mlp(), IMAGE, 3)
    tril = posterior(batch_of(binary_images(5))).scale_tril
    assert (tril.diagonal(dim1=-2, dim2=-1) > 0).all()
    assert (tril.triu(1) == 0).all() and (tril.tril(-1).flatten(1).abs().sum(0) > 0).sum() == 3


def test_samples_have_the_moments_they_claim():
    for name in ("diagonal", "fixed_scale", "full"):
        q = FAMILIES[name](small_mlp(), IMAGE, 3)(batch_of(binary_images(1)))
        z = q.sample(torch.Size((60_000,)))[:, 0]
        torch.testing.assert_close(z.mean(0), q.mean[0], atol=0.03, rtol=0)
        torch.testing.assert_close(z.var(0), q.variance[0], atol=0.06, rtol=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_bf16_networks_give_float32_densities(name):
    posterior, batch = FAMILIES[name](small_mlp(), IMAGE, 3), batch_of(binary_images(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert posterior(batch).mean.dtype == torch.float32


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_starts_as_its_base(name):
    q = FLOWS[name](small_mlp(), IMAGE, 4)(batch_of(binary_images(5)))
    z = torch.randn(3, 5, 4)
    torch.testing.assert_close(q.log_prob(z), q.base.log_prob(z))


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_a_flow_inverts_and_its_determinant_is_that_of_its_jacobian(name, latent_dim):
    posterior = perturbed(FLOWS[name](small_mlp(), IMAGE, latent_dim))
    q = posterior(batch_of(binary_images(1)))
    assert isinstance(q, PushforwardDistribution)
    start = torch.randn(latent_dim)
    z, log_det = q.step.call_and_ladj(start.reshape(1, -1))
    torch.testing.assert_close(q.step.inv(z)[0], start, atol=1e-4, rtol=1e-4)
    jacobian = torch.autograd.functional.jacobian(lambda s: q.step.call_and_ladj(s.reshape(1, -1))[0][0], start)
    torch.testing.assert_close(log_det[0], torch.linalg.slogdet(jacobian).logabsdet, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", FLOWS)
def test_the_density_of_a_draw_is_that_of_the_same_point(name):
    q = perturbed(FLOWS[name](small_mlp(), IMAGE, 3))(batch_of(binary_images(6)))
    z = q.rsample(torch.Size((4,)))
    torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()), atol=1e-3, rtol=1e-4)
    point = torch.randn(7, 1, 3)
    torch.testing.assert_close(q.log_prob(point), q.log_prob(point.expand(7, 6, 3)))
    many = q.sample(torch.Size((20_000,)))
    torch.testing.assert_close(q.mean, many.mean(0), atol=0.4, rtol=0.1)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("latent_dim", [1, 4, 16])
def test_moments_of_a_flow_are_exact_where_it_starts(name, latent_dim):
    """They decide the clusters of a mixture and add up to the aggregated variance."""
    with torch.no_grad():
        q = FLOWS[name](small_mlp(), IMAGE, latent_dim)(batch_of(binary_images(50)))
        torch.testing.assert_close(q.mean, q.base.mean)
        torch.testing.assert_close(q.variance, q.base.variance)
        prior = GaussianMixturePrior(latent_dim, components=5, spread=1.0, min_scale=0.01)
        prior.log_variances.normal_()
        said, right = (log_responsibilities(prior(), one) for one in (q, q.base))
        torch.testing.assert_close(said, right, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_moments_of_a_flow_are_those_of_many_draws(name, latent_dim):
    with torch.no_grad():
        q = perturbed(FLOWS[name](small_mlp(), IMAGE, latent_dim))(batch_of(binary_images(4)))
        z = q.sample(torch.Size((200_000,)))
        assert ((q.mean - z.mean(0)) / z.std(0)).abs().max() < 0.015
        torch.testing.assert_close(q.variance, z.var(0), atol=0, rtol=0.03)


def test_points_of_a_normal_distribution_have_its_moments():
    for dims in (1, 3, 300):
        points = normal_points(dims)
        assert len(points) >= 4 * dims
        torch.testing.assert_close(points.mean(0), torch.zeros(dims, dtype=torch.float64))
        torch.testing.assert_close(points.T @ points / len(points), torch.eye(dims, dtype=torch.float64))
    fourth = normal_points(3).pow(4).mean(0)
    torch.testing.assert_close(fourth, torch.full_like(fourth, 3.0), atol=0.1, rtol=0)
