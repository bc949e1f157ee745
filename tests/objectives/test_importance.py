"""Importance-weighted objectives on models whose posterior is exact."""

import math

import pytest
import torch

from tests.support.models import START, batch_of, binary_images, binary_vae, linear_vae
from vae_cli.batch import Batch
from vae_cli.distributions.distributions import PushforwardDistribution
from vae_cli.distributions.path_gradients import FixedDensity
from vae_cli.models import likelihoods, posteriors, priors
from vae_cli.models.hierarchy import BottomUp, HierarchicalVAE
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.networks import MLP, Linear
from vae_cli.models.refinement import Refinement
from vae_cli.objectives import ELBO, IWAE, DoublyReparameterised, InfoVAE, StickingTheLanding
from vae_cli.objectives.divergences import RBFMMD

KINDS = (IWAE, StickingTheLanding, DoublyReparameterised)


def gradients(model, objective, batch, draws: int = 1) -> dict[str, torch.Tensor]:
    model.zero_grad()
    for _ in range(draws):
        (objective(model, batch, START).loss / draws).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_one_sample_is_the_elbo_and_more_never_fall_below_it(kind):
    model, batch = binary_vae(), batch_of(binary_images(16))
    bounds = {}
    for k in (1, 5, 50):
        torch.manual_seed(0)
        values = [float(kind(samples=k)(model, batch, START).loss.detach()) for _ in range(200)]
        bounds[k] = -sum(values) / len(values)
    settings = {"beta": 1.0, "free_bits": 0.0, "samples": 2000}
    assert bounds[1] == pytest.approx(-float(ELBO(**settings)(model, batch, START).loss.detach()), abs=0.1)
    assert bounds[1] < bounds[5] < bounds[50]


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("k", [1, 7])
def test_at_the_exact_posterior_the_encoder_has_no_gradient(kind, k):
    model = linear_vae(posteriors.FullCovariance)
    batch = batch_of(torch.randn(20, 5))
    found = gradients(model, kind(samples=k), batch)
    plain = gradients(model, IWAE(samples=k), batch)
    for name, gradient in found.items():
        if name.startswith("posterior"):
            assert gradient.abs().max() < 1e-3 * max(1.0, plain[name].abs().max().item()), name


def test_the_doubly_reparameterised_gradient_is_unbiased():
    model = linear_vae(posteriors.Diagonal)
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    batch = batch_of(torch.randn(30, 5).repeat(100, 1))  # a hundred draws at once
    expected, ours = (gradients(model, kind(samples=4), batch, 30) for kind in (IWAE, DoublyReparameterised))
    for name in expected:
        scale = expected[name].abs().max().item()
        torch.testing.assert_close(ours[name], expected[name], atol=0.08 * scale, rtol=0.1, msg=name)


FLOW = {"steps": 2, "hidden": [6], "context": 2}
SMALL = {
    "diagonal": posteriors.Diagonal,
    "full": posteriors.FullCovariance,
    "autoregressive": lambda *parts: posteriors.AutoregressiveFlow(*parts, **FLOW),
    "coupling": lambda *parts: posteriors.CouplingFlow(*parts, **FLOW),
}


def plane_vae(name: str) -> LatentVariableModel:
    """Two latent dimensions, three of x; away from where it starts and from the exact posterior."""
    nets = {"hidden": [4], "activation": "tanh"}
    if name == "bottom_up":
        posterior, likelihood = (
            BottomUp(Linear(), (3,), [1, 1], **nets),
            likelihoods.Gaussian(Linear(), 1, (3,), scale=1.0),
        )
        parts = {"latent_dim": 1, "below": [1], "generation": None}
        model = HierarchicalVAE(posterior, priors.Normal(1), likelihood, **parts, **nets)
    else:
        likelihood = likelihoods.Gaussian(Linear(), 2, (3,), scale=1.0)
        model = LatentVariableModel(SMALL[name](Linear(), (3,), 2), priors.Normal(2), likelihood, latent_dim=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return model


def exact_gradients(model: LatentVariableModel, batch: Batch) -> dict[str, torch.Tensor]:
    """Of minus the bound of two samples, in float64: a sum over all pairs of points of a grid, weighted by q itself.

    The grid is one of z; under a flow it is one of what the flow starts from.
    """
    axis = torch.linspace(-7, 7, 43, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis).unsqueeze(1)
    model, x = model.double(), batch.x.double()
    q = model.encode(Batch(x, batch.index))
    start = log_q = (q.base if isinstance(q, PushforwardDistribution) else q).log_prob(z)
    if isinstance(q, PushforwardDistribution):
        z, log_det = q.step.call_and_ladj(z)
        log_q = start - log_det
    log_weight = (model.decode(z).log_prob(x) + model.prior().log_prob(z) - log_q)[:, 0]
    mass = start[:, 0].exp() * (axis[1] - axis[0]) ** 2
    assert float(mass.sum().detach()) == pytest.approx(1, abs=1e-4)
    bounds = torch.logaddexp(log_weight[:, None], log_weight) - math.log(2)
    (-(mass[:, None] * bounds * mass).sum()).backward()
    found = {name: p.grad.float() for name, p in model.named_parameters()}
    model.float().zero_grad()
    return found


@pytest.mark.parametrize("name", [*SMALL, "bottom_up"])
def test_the_doubly_reparameterised_gradient_is_that_of_the_bound_by_quadrature(name):
    """In all parameters: encoder, flow, layers of latents, decoder."""
    model, x = plane_vae(name), torch.randn(1, 3)
    exact = exact_gradients(model, batch_of(x))
    found = gradients(model, DoublyReparameterised(samples=2), batch_of(x.repeat(5000, 1)), 10)
    assert found.keys() == exact.keys()
    for part in {".".join(name.split(".")[:2]) for name in exact}:  # posterior.encoder, posterior.flow, ...
        names = [name for name in exact if name.startswith(part)]
        ours, theirs = (torch.cat([one[name].flatten() for name in names]) for one in (found, exact))
        assert float((ours - theirs).norm() / theirs.norm()) < 0.08, part


@pytest.mark.parametrize("name", [*SMALL, "bottom_up"])
def test_the_fixed_density_has_a_gradient_into_its_draws_alone(name):
    """That of log q at a fixed z is 0, and along the path it is the slope of log q times the change of z."""
    model, batch = plane_vae(name), batch_of(torch.randn(4, 3))
    q = model.encode(batch)
    fixed = FixedDensity(q)
    point = torch.randn(3, 4, 2, requires_grad=True)
    torch.testing.assert_close(fixed.log_prob(point), q.log_prob(point))
    ours, theirs = (torch.autograd.grad(one.log_prob(point).sum(), point)[0] for one in (fixed, q))
    torch.testing.assert_close(ours, theirs)
    parameters = list(model.posterior.parameters())
    none = torch.autograd.grad(fixed.log_prob(point).sum(), [point, *parameters], allow_unused=True)[1:]
    assert all(gradient is None for gradient in none)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_leaves_one_q_whose_bound_is_a_bound(kind):
    """With one sample of a sharp q any mismatch of masks would show as nats without end."""
    network = MLP(hidden=[32], activation="relu", dropout=0.5)
    likelihood = likelihoods.Gaussian(Linear(), 2, (5,), scale=1.0)
    model = LatentVariableModel(
        posteriors.Diagonal(network, (5,), 2), priors.Normal(2), likelihood, latent_dim=2
    ).train()
    with torch.no_grad():
        model.posterior.encoder[-1].bias[2:] = -6.0
    batch = batch_of(torch.randn(200, 5))
    torch.manual_seed(1)
    terms = kind(samples=1)(model, batch, START)
    torch.manual_seed(1)
    plain = model.trace(batch, model.encode(batch), 1)
    torch.testing.assert_close(terms.loss, -plain.log_weight.mean())
    torch.testing.assert_close(terms.metrics["elbo"], plain.elbo.mean())


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_refined_posterior_is_one_q_as_well(kind):
    """The refinement draws, so that a second encoding would be another q."""
    model, batch = linear_vae(posteriors.Diagonal), batch_of(torch.randn(6, 5))
    model.refinement = Refinement(steps=3, train_steps=3, samples=2, lr=0.1)
    torch.manual_seed(1)
    loss = kind(samples=3)(model, batch, START).loss
    torch.manual_seed(1)
    trace = model.trace(batch, model.encode(batch), 3)
    torch.testing.assert_close(loss, torch.tensor(3.0).log() - trace.log_weight.logsumexp(0).mean())


def test_a_loss_of_another_scale_has_gradients_of_that_scale():
    """As when gradients are accumulated, or scaled for float16; 0 for a process without examples."""
    model, batch = plane_vae("full"), batch_of(torch.randn(6, 3))
    found = []
    for scale in (1.0, 1024.0, 0.0):
        torch.manual_seed(1)
        model.zero_grad()
        (scale * DoublyReparameterised(samples=4)(model, batch, START).loss).backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(found[1], 1024 * found[0])
    assert not found[2].any()


def test_info_vae_contains_the_elbo_and_beta_vae():
    model, batch = binary_vae(), batch_of(binary_images(16))
    divergence = RBFMMD(bandwidths=None, unbiased=True)
    for alpha, lambda_, beta in ((0.0, 1.0, 1.0), (-3.0, 4.0, 4.0), (0.5, 0.5, 0.5)):
        torch.manual_seed(1)
        ours = InfoVAE(divergence, alpha=alpha, lambda_=lambda_, samples=2)(model, batch, START)
        torch.manual_seed(1)
        theirs = ELBO(beta=beta, free_bits=0.0, samples=2)(model, batch, START)
        torch.testing.assert_close(ours.loss, theirs.loss)
        torch.testing.assert_close(ours.metrics["elbo"], theirs.metrics["elbo"])
    torch.manual_seed(1)
    wae = InfoVAE(divergence, alpha=1.0, lambda_=10.0, samples=1)(binary_vae(posteriors.Deterministic), batch, START)
    torch.testing.assert_close(wae.loss, wae.metrics["distortion"] + 10 * wae.metrics["divergence"])
    assert "elbo" not in wae.metrics
