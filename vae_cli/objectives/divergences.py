"""Divergences D(q, p) between two samples: modules called with z (M, d) ~ q and z (N, d) ~ p, or with flattened x."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from vae_cli.capabilities import Capable
from vae_cli.distributed.shard import gather_rows
from vae_cli.distributed.streams import from_each_stream
from vae_cli.distributions.precision import float32
from vae_cli.models.networks import Network
from vae_cli.objectives.discriminators import (
    Discriminator,
    DiscriminatorLoss,
    dense_discriminator,
    gradient_penalty,
    hinge,
    logistic,
    network_discriminator,
)
from vae_cli.types import NonEmpty, NonNegativeFloat, PositiveFloat, PositiveInt, Shape


class Divergence(nn.Module, Capable):
    """Zero in expectation, or nearly so, where both samples come from one distribution.

    Where several processes train, each has a part of both samples: a mean over points is a mean over its own, and pairs
    of points are those of the whole samples (`gather_rows`).
    """

    provides: ClassVar = ("compares_z", "compares_x")
    requires: ClassVar = {"objective": ("divergence",)}

    def forward(self, q: Float[Tensor, "M d"], p: Float[Tensor, "N d"]) -> Float[Tensor, ""]:
        """A scalar with a gradient into q (M, d)."""
        raise NotImplementedError

    def discriminator_loss(self, q: Float[Tensor, "M d"], p: Float[Tensor, "N d"]) -> DiscriminatorLoss | None:
        """The loss of the discriminator of the divergence; None if it has none."""
        return None


def squared_distances(a: Float[Tensor, "M d"], b: Float[Tensor, "N d"]) -> Float[Tensor, "M N"]:
    """|a_i - b_j|^2, (M, N), by their differences, because |a|^2 + |b|^2 - 2 a b loses precision far from 0."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()


class _MMD(Divergence):
    """Squared maximum mean discrepancy E k(q, q') + E k(p, p') - 2 E k(q, p) (Gretton et al. 2012, eq. 3 and 5).

    Args:
        unbiased: leave out the pairs of a point with itself; the estimate at q = p is then zero in expectation
    """

    def __init__(self, unbiased: bool) -> None:
        super().__init__()
        self.unbiased = unbiased

    def kernel(self, squared: Tensor, scale: Tensor) -> Tensor:
        """k at squared distances (M, N)."""
        raise NotImplementedError

    def scale(self, squared: Tensor, dims: int) -> Tensor:
        """Parameter of the kernel, from the squared distances between q and p (M, N) in `dims` dimensions."""
        raise NotImplementedError

    def forward(self, q: Float[Tensor, "M d"], p: Float[Tensor, "N d"]) -> Float[Tensor, ""]:
        q, p = gather_rows(q), gather_rows(p)
        with float32():
            between = squared_distances(q, p)
            scale = self.scale(between.detach(), q.shape[-1])
            within = sum(self._within(self.kernel(squared_distances(z, z), scale)) for z in (q, p))
            return within - 2 * self.kernel(between, scale).mean()

    def _within(self, k: Tensor) -> Tensor:
        n = len(k)
        if not self.unbiased or n == 1:  # a single point has no other pairs
            return k.mean()
        return (k.sum() - k.diagonal().sum()) / (n * (n - 1))


class RBFMMD(_MMD):
    """MMD with k(x, y) = mean_h exp(-|x - y|^2 / 2 h^2).

    Args:
        bandwidths: h; None is the median heuristic, h^2 half the median of |x - y|^2 between the samples (Gretton et
            al. 2012, section 8)
        unbiased: leave out the pairs of a point with itself
    """

    bandwidths: Tensor | None

    def __init__(self, *, bandwidths: NonEmpty[PositiveFloat] | None, unbiased: bool) -> None:
        super().__init__(unbiased)
        own = None if bandwidths is None else torch.tensor([float(h) for h in bandwidths])
        self.register_buffer("bandwidths", own, persistent=False)

    def scale(self, squared: Tensor, dims: int) -> Tensor:
        """h^2, one for each bandwidth."""
        if self.bandwidths is None:
            return squared.median().clamp(min=1e-12).reshape(1) / 2
        return self.bandwidths.square()

    def kernel(self, squared: Tensor, scale: Tensor) -> Tensor:
        return torch.stack([(-squared / (2 * h)).exp() for h in scale]).mean(0)


class InverseMultiquadraticMMD(_MMD):
    """MMD with k(x, y) = mean_s C_s / (C_s + |x - y|^2), C_s = 2 d s^2 (Tolstikhin et al. 2018, section 4).

    Args:
        scales: s
        unbiased: leave out the pairs of a point with itself
    """

    scales: Tensor

    def __init__(self, *, scales: NonEmpty[PositiveFloat], unbiased: bool) -> None:
        super().__init__(unbiased)
        self.register_buffer("scales", torch.tensor([float(s) for s in scales]), persistent=False)

    def scale(self, squared: Tensor, dims: int) -> Tensor:
        """C_s, one for each scale."""
        return 2 * dims * self.scales.square()

    def kernel(self, squared: Tensor, scale: Tensor) -> Tensor:
        return torch.stack([c / (c + squared) for c in scale]).mean(0)


class SlicedWasserstein(Divergence):
    """Mean squared 2-Wasserstein distance of projections onto random directions (Kolouri et al. 2018, eq. 7).

    Both samples have the same size.

    Args:
        projections: number of directions
    """

    def __init__(self, *, projections: PositiveInt) -> None:
        super().__init__()
        self.projections = projections

    def forward(self, q: Float[Tensor, "M d"], p: Float[Tensor, "N d"]) -> Float[Tensor, ""]:
        q, p = gather_rows(q), gather_rows(p)
        size = q.shape[-1], self.projections
        directions = from_each_stream(lambda: torch.randn(size, device=q.device))
        directions = directions / directions.norm(dim=0)
        with float32():
            centre = p.detach().mean(0)  # else projections of points far from 0 lose precision
            sides = [((z - centre) @ directions).sort(0).values for z in (q, p)]
            return (sides[0] - sides[1]).square().mean()


class DiscriminatorDivergence(Divergence):
    """E_q log(1 + e^-T) - log 2 for a discriminator T of p against q (Goodfellow et al. 2014, section 3).

    It is zero where T = 0. The discriminator minimises a logistic loss plus `penalty` times its squared gradient at p.
    """

    def __init__(self, discriminator: Discriminator, penalty: float) -> None:
        super().__init__()
        self.discriminator, self.penalty = discriminator, penalty

    def forward(self, q: Float[Tensor, "M d"], p: Float[Tensor, "N d"]) -> Float[Tensor, ""]:
        return softplus(-self.discriminator.frozen_forward(q)).mean() - math.log(2)

    def plain_loss(self, q: Tensor, p: Tensor) -> DiscriminatorLoss:
        """The discriminator's loss without its penalty."""
        return logistic(self.discriminator, p, q)

    def discriminator_loss(self, q: Float[Tensor, "M d"], p: Float[Tensor, "N d"]) -> DiscriminatorLoss:
        plain = self.plain_loss(q, p)
        if not self.penalty:
            return plain
        return replace(plain, loss=plain.loss + self.penalty * gradient_penalty(self.discriminator, p))


class _Hinge:
    """-E_q T as the model's term and a hinge loss as the discriminator's (Lim & Ye 2017)."""

    discriminator: Discriminator

    def forward(self, q: Float[Tensor, "M d"], p: Float[Tensor, "N d"]) -> Float[Tensor, ""]:
        return -self.discriminator.frozen_forward(q).mean()

    def plain_loss(self, q: Tensor, p: Tensor) -> DiscriminatorLoss:
        return hinge(self.discriminator, p, q)


class LatentDiscriminator(DiscriminatorDivergence):
    """A discriminator of z (Makhzani et al. 2016).

    Args:
        hidden: widths of the hidden layers
        spectral_norm: divide each weight by its largest singular value (Miyato et al. 2018)
        penalty: weight of the squared gradient of the discriminator at p (Mescheder et al. 2018)
    """

    provides: ClassVar = ("compares_z",)

    def __init__(
        self, latent_dim: int, *, hidden: list[PositiveInt], spectral_norm: bool, penalty: NonNegativeFloat
    ) -> None:
        super().__init__(dense_discriminator(latent_dim, hidden, spectral=spectral_norm), penalty)


class LatentDiscriminatorHinge(_Hinge, LatentDiscriminator):
    """`LatentDiscriminator` with -E_q T as the model's term and a hinge loss as the discriminator's (Lim & Ye 2017)."""


class ImageDiscriminator(DiscriminatorDivergence):
    """A discriminator of flattened x: the encoder of the chosen network, and a linear score of its outputs.

    Args:
        width: outputs of the encoder at each position
        spectral_norm: divide each weight by its largest singular value (Miyato et al. 2018)
        penalty: weight of the squared gradient of the discriminator at p (Mescheder et al. 2018)
    """

    provides: ClassVar = ("compares_x", "features")

    def __init__(
        self,
        network: Network,
        event_shape: Shape,
        n_positions: int,
        *,
        width: PositiveInt,
        spectral_norm: bool,
        penalty: NonNegativeFloat,
    ) -> None:
        super().__init__(
            network_discriminator(network, event_shape, n_positions * width, spectral=spectral_norm), penalty
        )

    def features(self, x: Tensor) -> Tensor:
        """The middle hidden layer (N, F), with a gradient into x (N, D) alone (Larsen et al. 2016)."""
        return self.discriminator.features(x)


class ImageDiscriminatorHinge(_Hinge, ImageDiscriminator):
    """`ImageDiscriminator` with -E_q T as the model's term and a hinge loss as the discriminator's (Lim & Ye 2017)."""
