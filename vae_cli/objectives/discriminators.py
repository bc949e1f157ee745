"""Discriminators: networks that learn to tell two samples apart.

One loss and one optimiser train the model and the discriminator. The model's term sees detached parameters of the
discriminator, the discriminator's term sees detached samples. The gradients equal those of two simultaneous optimisers.

Shape legend: N points, d dimensions, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm

from vae_cli.models.layers import ACTIVATIONS
from vae_cli.models.networks import Network
from vae_cli.types import PositiveInt, Shape

HIDDEN = tuple(ACTIVATIONS.values())
"""Classes of the last module of a hidden layer."""
SLOPE = 0.2
"""Slope of the leaky ReLU below 0 (Radford et al. 2016)."""


@dataclass(frozen=True)
class DiscriminatorLoss:
    """Loss of a discriminator and its accuracy, 1/2 where the samples have one distribution."""

    loss: Tensor
    accuracy: Tensor

    @property
    def metrics(self) -> dict[str, Tensor]:
        """Both, by their logged names."""
        return {"discriminator_loss": self.loss, "discriminator_accuracy": self.accuracy}


class Discriminator(nn.Module):
    """Scores (N,) of points (N, d): large where the first of two samples has the larger density.

    Args:
        layers: the network, with one output
        spectral: divide each weight by its largest singular value, which bounds the gradient (Miyato et al. 2018)
    """

    def __init__(self, layers: list[nn.Module], *, spectral: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        if spectral:
            for layer in [*self.layers.modules()]:
                _normalise(layer)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).float().squeeze(-1)

    def frozen_forward(self, z: Tensor) -> Tensor:
        """Scores with a gradient into z and none into the parameters."""
        return _fixed(self, z)

    def features(self, z: Tensor) -> Tensor:
        """The middle hidden layer, (N, F), in float32, with a gradient into z alone.

        Later layers hold too little of z to reconstruct it.
        """
        hidden = [i for i, layer in enumerate(self.layers) if isinstance(layer, HIDDEN)]
        return _fixed(self.layers[: hidden[(len(hidden) - 1) // 2] + 1], z).flatten(1).float()


def dense_discriminator(dims: int, hidden: list[PositiveInt], *, spectral: bool) -> Discriminator:
    """A discriminator of points (N, dims) with hidden layers of these widths."""
    layers: list[nn.Module] = []
    for wide_in, wide_out in pairwise([dims, *hidden]):
        layers += [nn.Linear(wide_in, wide_out), nn.LeakyReLU(SLOPE)]
    return Discriminator([*layers, nn.Linear([dims, *hidden][-1], 1)], spectral=spectral)


def network_discriminator(network: Network, event_shape: Shape, outputs: int, *, spectral: bool) -> Discriminator:
    """A discriminator of flattened events (N, D): an encoder with `outputs` outputs, and a linear score of them."""
    encoder = network.encoder(event_shape, outputs)
    trunk = encoder.children() if isinstance(encoder, nn.Sequential) else [encoder]
    layers = [nn.Unflatten(1, event_shape), *trunk, nn.LeakyReLU(SLOPE), nn.Linear(outputs, 1)]
    return Discriminator(layers, spectral=spectral)


def _fixed(module: nn.Module, z: Tensor) -> Tensor:
    """module(z) with parameters that get no gradient."""
    return functional_call(module, {name: value.detach() for name, value in module.named_parameters()}, (z,))


def _normalise(layer: nn.Module) -> None:
    """Spectral norm on an affine layer; a layer that starts at zero, as in residual networks, is initialised anew."""
    if isinstance(layer, nn.Linear | nn.Conv2d):
        if not layer.weight.any():
            layer.reset_parameters()
        spectral_norm(layer)


def logistic(
    discriminator: Discriminator, first: Float[Tensor, "M d"], second: Float[Tensor, "N d"]
) -> DiscriminatorLoss:
    """-E_first log s(T) - E_second log(1 - s(T)), s the logistic function, T the scores (Goodfellow et al. 2014).

    Its optimum is T = log of the ratio of densities: for equal densities T = 0 and the loss is log 4.
    """
    a, b = discriminator(first.detach()), discriminator(second.detach())
    return DiscriminatorLoss(softplus(-a).mean() + softplus(b).mean(), accuracy(a, b))


def hinge(discriminator: Discriminator, first: Float[Tensor, "M d"], second: Float[Tensor, "N d"]) -> DiscriminatorLoss:
    """E_first max(0, 1 - T) + E_second max(0, 1 + T) (Lim & Ye 2017, eq. 9)."""
    a, b = discriminator(first.detach()), discriminator(second.detach())
    return DiscriminatorLoss((1 - a).clamp(min=0).mean() + (1 + b).clamp(min=0).mean(), accuracy(a, b))


def accuracy(first: Tensor, second: Tensor) -> Tensor:
    """Fraction of the scores on the right side of T = 0, mean over both samples; a score of 0 counts one half."""
    return ((first.sign().mean() - second.sign().mean()) / 4 + 0.5).detach()


def gradient_penalty(discriminator: Discriminator, z: Float[Tensor, "N d"]) -> Float[Tensor, ""]:
    """E |dT/dz|^2 over a sample, with a gradient into the parameters (Mescheder et al. 2018, eq. 9)."""
    slope: Any = torch.compiler.disable(_squared_slope)  # compiled code cannot be differentiated twice
    return slope(discriminator, z)


def _squared_slope(discriminator: Discriminator, z: Tensor) -> Tensor:
    z = z.detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(discriminator(z).sum(), z, create_graph=True)
    return slope.square().sum(-1).mean()
