"""Discriminators against what is known of the best one, and their training against two optimisers."""

import copy
import math

import pytest
import torch
from torch import nn

from tests.support.models import (
    IMAGE,
    START,
    batch_of,
    binary_images,
    binary_vae,
    got_gradient,
    image_discriminator,
    small_mlp,
)
from vae_cli.models.networks import Conv, Linear, ResidualMLP, ResNet
from vae_cli.models.spatial_networks import SpatialConv, n_positions
from vae_cli.objectives import FactorVAE, InfoVAE
from vae_cli.objectives.discriminators import (
    Discriminator,
    dense_discriminator,
    gradient_penalty,
    hinge,
    logistic,
    network_discriminator,
)
from vae_cli.objectives.divergences import (
    ImageDiscriminator,
    ImageDiscriminatorHinge,
    LatentDiscriminator,
    LatentDiscriminatorHinge,
)

LOSSES = {"logistic": logistic, "hinge": hinge}
FAMILIES = [ImageDiscriminator, ImageDiscriminatorHinge]
D = math.prod(IMAGE)
SETTINGS = {"hidden": [8], "spectral_norm": False, "penalty": 0.0}


def trained(discriminator: Discriminator, loss, first, second, steps: int = 60) -> Discriminator:
    optimizer = torch.optim.LBFGS(discriminator.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(discriminator, first, second).loss
        value.backward()
        return value

    optimizer.step(closure)
    return discriminator


def test_an_undecided_critic_loses_log_4_and_is_half_right():
    discriminator = dense_discriminator(3, [8], spectral=False)
    nn.init.zeros_(discriminator.layers[-1].weight)
    nn.init.zeros_(discriminator.layers[-1].bias)
    discriminator_loss = logistic(discriminator, torch.randn(50, 3), torch.randn(50, 3))
    assert discriminator_loss.loss.item() == pytest.approx(math.log(4)) and discriminator_loss.accuracy == 0.5


def test_the_same_sample_twice_leaves_the_best_critic_undecided():
    z = torch.randn(200, 2)
    discriminator = trained(dense_discriminator(2, [8], spectral=False), logistic, z, z)
    assert discriminator(z).abs().max() < 0.05 and logistic(discriminator, z, z).loss.item() == pytest.approx(
        math.log(4), abs=1e-3
    )


def test_the_best_linear_critic_is_the_log_ratio_of_two_gaussians():
    """log N(z; m, I) - log N(z; 0, I) = m z - m^2 / 2."""
    shift = torch.tensor([0.8, -0.4])
    first, second = torch.randn(100_000, 2) + shift, torch.randn(100_000, 2)
    (layer,) = trained(dense_discriminator(2, [], spectral=False), logistic, first, second).layers
    torch.testing.assert_close(layer.weight[0], shift, atol=0.03, rtol=0)
    torch.testing.assert_close(layer.bias[0], -shift.square().sum() / 2, atol=0.03, rtol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_accuracy_counts_both_sides(name):
    discriminator = dense_discriminator(1, [], spectral=False)
    with torch.no_grad():
        discriminator.layers[0].weight.fill_(1.0)
        discriminator.layers[0].bias.zero_()
    first, second = torch.tensor([[1.0], [2.0], [-1.0], [3.0]]), torch.tensor([[-1.0], [1.0]])
    assert LOSSES[name](discriminator, first, second).accuracy.item() == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_the_penalty_of_a_linear_critic_is_its_squared_slope():
    discriminator = dense_discriminator(3, [], spectral=False)
    value = gradient_penalty(discriminator, torch.randn(7, 3))
    torch.testing.assert_close(value, discriminator.layers[0].weight.square().sum())
    value.backward()
    assert discriminator.layers[0].weight.grad is not None


def test_spectral_norm_bounds_the_slope():
    discriminator = dense_discriminator(4, [16, 16], spectral=True)
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.mul_(20)
    z = torch.randn(100, 4)
    for _ in range(30):
        discriminator(z)  # each call in training mode takes a step towards the singular values
    assert gradient_penalty(discriminator, z) <= 1.01


@pytest.mark.parametrize("family", [LatentDiscriminator, LatentDiscriminatorHinge])
def test_neither_side_trains_the_other(family):
    divergence = family(3, **SETTINGS)
    q, p = torch.randn(20, 3, requires_grad=True), torch.randn(20, 3)
    divergence(q, p).backward()
    assert q.grad.abs().sum() > 0 and all(parameter.grad is None for parameter in divergence.parameters())
    q.grad = None
    divergence.discriminator_loss(q, p).loss.backward()
    assert q.grad is None and all(parameter.grad is not None for parameter in divergence.parameters())


def test_one_optimiser_for_both_sides_is_two_that_step_together():
    batch, steps = batch_of(binary_images(16)), 5

    def fresh() -> tuple[nn.Module, InfoVAE]:
        torch.manual_seed(3)
        objective = InfoVAE(LatentDiscriminator(3, **SETTINGS), alpha=1.0, lambda_=2.0, samples=1)
        return binary_vae(), objective

    model, objective = fresh()
    one = torch.optim.Adam([*model.parameters(), *objective.parameters()], lr=1e-2)
    for step in range(steps):
        torch.manual_seed(step)
        one.zero_grad()
        objective(model, batch, START).loss.backward()
        one.step()

    other, theirs = fresh()
    pair = [torch.optim.Adam(part.parameters(), lr=1e-2) for part in (other, theirs)]
    for step in range(steps):
        torch.manual_seed(step)
        frozen = copy.deepcopy(theirs.divergence.discriminator)
        trace = other.trace(batch, other.encode(batch), 1)
        z, prior = trace.latents[0].z[0], trace.latents[0].p.sample((16,))
        for optimizer in pair:
            optimizer.zero_grad()
        generator = nn.functional.softplus(-frozen(z)).mean() - math.log(2)
        (trace.distortion.mean() + 2.0 * generator).backward()
        logistic(theirs.divergence.discriminator, prior, z).loss.backward()
        for optimizer in pair:
            optimizer.step()

    both, others = [*model.parameters(), *objective.parameters()], [*other.parameters(), *theirs.parameters()]
    assert all(torch.equal(mine, yours) for mine, yours in zip(both, others, strict=True))


def test_the_total_correlation_of_a_correlated_gaussian():
    """TC = -1/2 log(1 - r^2), by the best discriminator of FactorVAE, whose score is quadratic here."""
    r = 0.8
    z = torch.randn(20_000, 2) @ torch.tensor([[1.0, r], [0.0, (1 - r**2) ** 0.5]])
    permuted = torch.stack([z[:, 0], z[torch.randperm(len(z)), 1]], -1)
    discriminator = trained(dense_discriminator(2, [16], spectral=False), logistic, z, permuted, steps=150)
    assert discriminator(z).mean().item() == pytest.approx(-0.5 * math.log(1 - r**2), abs=0.05)


def test_factorvae_with_gamma_0_is_the_elbo_and_a_critic_beside_it():
    model, batch = binary_vae(), batch_of(binary_images(16))
    terms = FactorVAE(3, gamma=0.0, hidden=[8])(model, batch, START)
    torch.testing.assert_close(terms.loss, terms.metrics["discriminator_loss"] - terms.metrics["elbo"])
    double = FactorVAE(3, gamma=2.0, hidden=[8])
    terms = double(model, batch, START)
    penalty = 2 * terms.metrics["total_correlation"]
    torch.testing.assert_close(terms.loss, terms.metrics["discriminator_loss"] - terms.metrics["elbo"] + penalty)


def test_the_best_critic_of_equal_samples_says_one_half_and_loses_log_4():
    x = torch.rand(64, D)
    discriminator = trained(network_discriminator(small_mlp(), IMAGE, 8, spectral=False), logistic, x, x)
    assert (discriminator(x).sigmoid() - 0.5).abs().max() < 0.01
    discriminator_loss = logistic(discriminator, x, x)
    assert discriminator_loss.loss.item() == pytest.approx(math.log(4), abs=1e-3)
    assert discriminator_loss.accuracy.item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("penalty", [0.0, 2.0])
def test_a_critic_of_images_and_a_generator_do_not_train_each_other(family, penalty):
    divergence = image_discriminator(family, penalty=penalty)
    q, p = torch.rand(20, D, requires_grad=True), torch.rand(20, D)
    (divergence(q, p) + divergence.features(q).sum()).backward()
    assert q.grad is not None and q.grad.any() and not any(got_gradient(divergence))
    q.grad = None
    divergence.discriminator_loss(q, p).loss.backward()
    assert q.grad is None and all(parameter.grad is not None for parameter in divergence.parameters())


def test_the_features_are_the_hidden_layer_in_the_middle():
    x = torch.rand(5, D)
    dense = image_discriminator().discriminator
    first = next(layer for layer in dense.layers if isinstance(layer, nn.Linear))
    torch.testing.assert_close(dense.features(x), first(x).tanh())
    maps = ImageDiscriminator(
        Conv(channels=[4, 6], dense=8, activation="relu"), IMAGE, 1, width=8, spectral_norm=False, penalty=0.0
    ).discriminator
    torch.testing.assert_close(maps.features(x), maps.layers[:5](x).flatten(1))  # after both convolutions


def test_residual_branches_that_start_at_zero_can_be_normalised():
    """A weight of zero has no singular value to be divided by."""
    network = ResNet(channels=[4], blocks=1, activation="relu")
    discriminator = network_discriminator(network, (1, 8, 8), 8, spectral=True)
    assert discriminator(torch.rand(3, 64)).isfinite().all()


NETWORKS = [
    Conv(channels=[4], dense=8, activation="relu"),
    SpatialConv(channels=[4], blocks=1, activation="relu"),
    Linear(),
    ResidualMLP(width=8, blocks=1, activation="tanh"),
    ResNet(channels=[4], blocks=1, activation="gelu"),
    small_mlp(),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
def test_a_critic_takes_the_networks_of_the_model(network):
    places = n_positions(network, IMAGE)
    divergence = ImageDiscriminator(network, IMAGE, places, width=8, spectral_norm=True, penalty=1.0)
    q, p = torch.rand(6, D, requires_grad=True), torch.rand(6, D)
    assert divergence(q, p).shape == () and divergence.features(q).ndim == 2
    assert divergence.discriminator_loss(q, p).loss.isfinite()
