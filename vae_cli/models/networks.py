"""Networks: recipes that build an encoder and a mirrored decoder for whatever shapes the data have.

Shape legend: N rows (images, or samples times images), d latent dimensions, M parameters for each entry of x.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import ClassVar, Protocol

from torch import nn

from vae_cli.capabilities import Capable
from vae_cli.models.layers import (
    ACTIVATIONS,
    Flatten,
    ResidualBlock,
    Unflatten,
    conv_block,
    dense,
    halved,
    image_shape,
    narrowing,
    widening,
)
from vae_cli.types import Activation, Fraction, NonEmpty, NonNegativeInt, PositiveInt, Shape


class Network(Protocol):
    """A recipe for the pair of networks of an autoencoder."""

    def encoder(self, event_shape: Shape, features: int) -> nn.Module:
        """Module from x (N, *event) to (N, features)."""
        ...

    def decoder(self, latent_dim: int, event_shape: Shape, outputs: int) -> nn.Module:
        """Module from z (N, d) to (N, M, *event), M = outputs."""
        ...


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Affine maps: with a Gaussian likelihood, probabilistic PCA."""

    layouts: ClassVar = ("image", "vector")

    def encoder(self, event_shape: Shape, features: int) -> nn.Module:
        """x (N, *event) to (N, features)."""
        return nn.Sequential(nn.Flatten(), nn.Linear(prod(event_shape), features))

    def decoder(self, latent_dim: int, event_shape: Shape, outputs: int) -> nn.Module:
        """z (N, d) to (N, M, *event)."""
        shape = (outputs, *event_shape)
        return nn.Sequential(nn.Linear(latent_dim, prod(shape)), nn.Unflatten(1, shape))


@dataclass(frozen=True, kw_only=True)
class MLP(Capable):
    """Fully connected layers, in reverse order in the decoder.

    Args:
        hidden: widths of the hidden layers of the encoder.
        activation: activation after each hidden layer.
        dropout: probability by which hidden units are dropped.
    """

    layouts: ClassVar = ("image", "vector")
    provides: ClassVar = ("mirrored",)  # so that `outermost` makes an autoencoder of its hidden layers

    hidden: list[PositiveInt]
    activation: Activation
    dropout: Fraction

    def encoder(self, event_shape: Shape, features: int) -> nn.Module:
        """x (N, *event) to (N, features)."""
        widths = [prod(event_shape), *self.hidden, features]
        return nn.Sequential(nn.Flatten(), *dense(widths, self.activation, self.dropout))

    def decoder(self, latent_dim: int, event_shape: Shape, outputs: int) -> nn.Module:
        """z (N, d) to (N, M, *event)."""
        shape = (outputs, *event_shape)
        widths = [latent_dim, *reversed(self.hidden), prod(shape)]
        return nn.Sequential(*dense(widths, self.activation, self.dropout), nn.Unflatten(1, shape))


@dataclass(frozen=True, kw_only=True)
class Conv:
    """Convolutions of stride 2 and a dense layer; the decoder has their transposes.

    Args:
        channels: output channels of each convolution.
        dense: width of the dense layer.
        activation: activation after each layer.
    """

    layouts: ClassVar = ("image",)

    channels: NonEmpty[PositiveInt]
    dense: PositiveInt
    activation: Activation

    def encoder(self, event_shape: Shape, features: int) -> nn.Module:
        """x (N, C, H, W) to (N, features)."""
        colours, height, width = image_shape(event_shape)
        layers = narrowing([colours, *self.channels], self.activation)
        flat = self.channels[-1] * prod(halved(height, width, len(self.channels))[-1])
        return nn.Sequential(*layers, Flatten(), *dense([flat, self.dense, features], self.activation))

    def decoder(self, latent_dim: int, event_shape: Shape, outputs: int) -> nn.Module:
        """z (N, d) to (N, M, C, H, W)."""
        colours, height, width = image_shape(event_shape)
        sizes = halved(height, width, len(self.channels))[::-1]
        channels = [*reversed(self.channels), outputs * colours]
        start = (channels[0], *sizes[0])
        layers: list[nn.Module] = [
            *dense([latent_dim, self.dense, prod(start)], self.activation),
            ACTIVATIONS[self.activation](),
            nn.Unflatten(1, start),
        ]
        layers += widening(channels, sizes, self.activation)
        return nn.Sequential(*layers, Unflatten(1, (outputs, colours)))


@dataclass(frozen=True, kw_only=True)
class ResidualMLP:
    """Residual blocks of two dense layers (He et al. 2016).

    Args:
        width: width of each layer.
        blocks: number of blocks.
        activation: activation before each layer of a block.
    """

    layouts: ClassVar = ("image", "vector")

    width: PositiveInt
    blocks: NonNegativeInt
    activation: Activation

    def _stack(self, wide_in: int, wide_out: int) -> list[nn.Module]:
        act = ACTIVATIONS[self.activation]
        blocks = [
            ResidualBlock(
                nn.Sequential(act(), nn.Linear(self.width, self.width), act(), nn.Linear(self.width, self.width))
            )
            for _ in range(self.blocks)
        ]
        return [nn.Linear(wide_in, self.width), *blocks, act(), nn.Linear(self.width, wide_out)]

    def encoder(self, event_shape: Shape, features: int) -> nn.Module:
        """x (N, *event) to (N, features)."""
        return nn.Sequential(nn.Flatten(), *self._stack(prod(event_shape), features))

    def decoder(self, latent_dim: int, event_shape: Shape, outputs: int) -> nn.Module:
        """z (N, d) to (N, M, *event)."""
        shape = (outputs, *event_shape)
        return nn.Sequential(*self._stack(latent_dim, prod(shape)), nn.Unflatten(1, shape))


@dataclass(frozen=True, kw_only=True)
class ResNet:
    """A residual convolutional network (He et al. 2016): each stage halves height and width.

    Args:
        channels: channels of each stage.
        blocks: residual blocks of each stage.
        activation: activation before each layer of a block.
    """

    layouts: ClassVar = ("image",)

    channels: NonEmpty[PositiveInt]
    blocks: NonNegativeInt
    activation: Activation

    def encoder(self, event_shape: Shape, features: int) -> nn.Module:
        """x (N, C, H, W) to (N, features)."""
        colours, height, width = image_shape(event_shape)
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise([colours, *self.channels]):
            layers.append(nn.Conv2d(c_in, c_out, 3, stride=2, padding=1))
            layers += [conv_block(c_out, self.activation) for _ in range(self.blocks)]
        flat = self.channels[-1] * prod(halved(height, width, len(self.channels))[-1])
        return nn.Sequential(*layers, ACTIVATIONS[self.activation](), Flatten(), nn.Linear(flat, features))

    def decoder(self, latent_dim: int, event_shape: Shape, outputs: int) -> nn.Module:
        """z (N, d) to (N, M, C, H, W)."""
        colours, height, width = image_shape(event_shape)
        sizes = halved(height, width, len(self.channels))[::-1]
        channels = [*reversed(self.channels), self.channels[0]]
        start = (channels[0], *sizes[0])
        layers: list[nn.Module] = [nn.Linear(latent_dim, prod(start)), nn.Unflatten(1, start)]
        for (c_in, c_out), size in zip(pairwise(channels), sizes[1:], strict=True):
            layers += [conv_block(c_in, self.activation) for _ in range(self.blocks)]
            layers += [nn.Upsample(size=size), nn.Conv2d(c_in, c_out, 3, padding=1)]
        last = nn.Conv2d(channels[-1], outputs * colours, 3, padding=1)
        return nn.Sequential(*layers, ACTIVATIONS[self.activation](), last, Unflatten(1, (outputs, colours)))
