"""Networks with spatial latents: features and latents are maps over the positions of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Protocol, runtime_checkable

from torch import nn

from vae_cli.capabilities import Capable
from vae_cli.models.layers import ACTIVATIONS, Flatten, Unflatten, conv_block, halved, image_shape, narrowing, widening
from vae_cli.models.networks import Network
from vae_cli.types import Activation, NonEmpty, NonNegativeInt, PositiveInt, Shape


@runtime_checkable
class Gridded(Protocol):
    """A recipe whose features and latents, flat vectors, are maps (c, h, w)."""

    def grid(self, event_shape: Shape) -> tuple[int, int]: ...


def n_positions(network: Network, event_shape: Shape) -> int:
    """Positions of z: h w for a spatial latent, else 1."""
    return prod(network.grid(event_shape)) if isinstance(network, Gridded) else 1


@dataclass(frozen=True, kw_only=True)
class SpatialConv(Capable):
    """Convolutions of stride 2 and residual blocks without a dense layer (van den Oord et al. 2017, section 4.1).

    Features and latents are maps over the positions of the smallest feature map.

    Args:
        channels: output channels of each convolution of stride 2.
        blocks: residual blocks after them.
        activation: activation of all layers.
    """

    layouts: ClassVar = ("image",)
    requires: ClassVar = {"posterior": ("spatial",)}

    channels: NonEmpty[PositiveInt]
    blocks: NonNegativeInt
    activation: Activation

    def grid(self, event_shape: Shape) -> tuple[int, int]:
        """h and w of the smallest feature map."""
        return self._sizes(event_shape)[-1]

    def _sizes(self, event_shape: Shape) -> list[tuple[int, int]]:
        return halved(*image_shape(event_shape)[1:], len(self.channels))

    def _blocks(self) -> list[nn.Module]:
        blocks = [conv_block(self.channels[-1], self.activation) for _ in range(self.blocks)]
        return [*blocks, ACTIVATIONS[self.activation]()]

    def encoder(self, event_shape: Shape, features: int) -> nn.Module:
        """x (N, C, H, W) to (N, features), features a multiple of h w."""
        layers = [*narrowing([event_shape[0], *self.channels], self.activation), *self._blocks()]
        last = nn.Conv2d(self.channels[-1], features // n_positions(self, event_shape), 1)
        return nn.Sequential(*layers, last, Flatten())

    def decoder(self, latent_dim: int, event_shape: Shape, outputs: int) -> nn.Module:
        """z (N, d) to (N, M, C, H, W), d a multiple of h w."""
        wide, colours = latent_dim // n_positions(self, event_shape), event_shape[0]
        first = nn.Conv2d(wide, self.channels[-1], 3, padding=1)
        channels = [*reversed(self.channels), outputs * colours]
        layers = [*self._blocks(), *widening(channels, self._sizes(event_shape)[::-1], self.activation)]
        unflattened = nn.Unflatten(1, (wide, *self.grid(event_shape)))
        return nn.Sequential(unflattened, first, *layers, Unflatten(1, (outputs, colours)))
