"""The distribution of layers of latents: a product of factors along a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.types import _size

from vae_cli.distributions.distributions import UnvalidatedDistribution
from vae_cli.distributions.gaussians import gaussian

Known = Mapping[str, Tensor]
Factor = Callable[[Known], Distribution]
"""The distribution of a layer, given those of its parents that are drawn."""


class HierarchicalDistribution(UnvalidatedDistribution):
    """prod_j r(z_j | Pa(z_j)): one factor for each layer, Gaussian with a diagonal covariance where it has parents.

    `sizes` are d_j by name, nearest to x first; `order` has parents before their children. Batch shape (B,) or ().
    """

    has_rsample = True

    def __init__(
        self, factors: Mapping[str, Factor], sizes: Mapping[str, int], order: Sequence[str], batch_shape: torch.Size
    ) -> None:
        self.factors, self.sizes, self.order = factors, sizes, order
        super().__init__(batch_shape, torch.Size((sum(sizes.values()),)), validate_args=False)

    def draw(self, shape: torch.Size) -> list[tuple[Tensor, Distribution]]:
        """z_j (*shape, B, d_j) and the factor it was drawn from, layer by layer."""
        known: dict[str, Tensor] = {}
        drawn: dict[str, tuple[Tensor, Distribution]] = {}
        for name in self.order:
            factor = self.factors[name](known)
            if len(factor.batch_shape) <= len(self.batch_shape):
                known[name] = factor.rsample(shape) if factor.has_rsample else factor.sample(shape)
            else:  # its parents differ from sample to sample
                zeros = factor.mean.new_zeros(*self.batch_shape, self.sizes[name])
                noise = gaussian(zeros, torch.ones_like(zeros), 1).rsample(shape)
                known[name] = factor.mean + factor.stddev * noise
            drawn[name] = known[name], factor
        return [drawn[name] for name in self.sizes]

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """z (*sample_shape, B, d)."""
        return torch.cat([z for z, _ in self.draw(torch.Size(sample_shape))], -1)

    def layers(self, z: Tensor) -> list[Distribution]:
        """The factor of each layer, given that the others are those of z."""
        known = dict(zip(self.sizes, z.split(list(self.sizes.values()), -1), strict=True))
        return [self.factors[name](known) for name in self.sizes]

    def log_prob(self, value: Tensor) -> Tensor:
        """sum_j log r(z_j | Pa(z_j)), nats."""
        parts = value.split(list(self.sizes.values()), -1)
        scores = [factor.log_prob(z) for factor, z in zip(self.layers(value), parts, strict=True)]
        return torch.stack(torch.broadcast_tensors(*scores)).sum(0)

    def _passed(self) -> list[Distribution]:
        """The factors, each given the means of its parents."""
        known: dict[str, Tensor] = {}
        factors = {}
        for name in self.order:
            factors[name] = self.factors[name](known)
            known[name] = factors[name].mean
        return [factors[name] for name in self.sizes]

    @property
    def mean(self) -> Tensor:
        """(B, d): of each layer given the means of its parents, which is E z_j only where that is linear in them."""
        return torch.cat([factor.mean.expand(*self.batch_shape, -1) for factor in self._passed()], -1)

    @property
    def variance(self) -> Tensor:
        """(B, d): of each layer given the means of its parents."""
        return torch.cat([factor.variance.expand(*self.batch_shape, -1) for factor in self._passed()], -1)
