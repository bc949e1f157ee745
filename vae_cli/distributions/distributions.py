"""Base class, point masses, repeated priors and pushforwards; all `log_prob`s are normalised, in nats."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints
from torch.types import _size

from vae_cli.distributions.precision import float32
from vae_cli.distributions.quadrature import normal_points

AT_ONCE = 2**16
"""Points times examples that a flow maps at a time for its moments."""


class UnvalidatedDistribution(Distribution):
    """A distribution that does not check its arguments, which would cost more than the density."""

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        return {}


class Delta(UnvalidatedDistribution):
    """All mass on loc (B, d): a deterministic code. It has no density; `log_prob` raises an error."""

    has_rsample = True

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        return self.loc.expand(*sample_shape, *self.loc.shape)


class Repeated(UnvalidatedDistribution):
    """p, of batch shape (), for each index of a batch; it needs sample and log_prob of p alone, not expand."""

    def __init__(self, p: Distribution, batch_shape: torch.Size) -> None:
        self.p = p
        super().__init__(batch_shape, p.event_shape, validate_args=False)

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        return self.p.sample(torch.Size(sample_shape) + self.batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.p.log_prob(value)


class PushforwardDistribution(UnvalidatedDistribution):
    """f(z_0), z_0 ~ base: a flow in the direction of its draws, whose density comes with them without an inversion.

    The moments, which have no closed form, are those of f at fixed points of the base: exact where f is affine.

    Args:
        base: a diagonal Gaussian of batch shape (B,)
        step: a bijection of vectors (zuko's, with `call_and_ladj`)
    """

    has_rsample = True

    def __init__(self, base: Independent, step: Any) -> None:
        self.base, self.step = base, step
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def rsample_and_log_prob(self, sample_shape: _size = torch.Size()) -> tuple[Tensor, Tensor]:
        """z (*sample_shape, B, d) and log q(z)."""
        start = self.base.rsample(sample_shape)
        z, log_det = self.step.call_and_ladj(start)
        return z, self.base.log_prob(start) - log_det

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        return self.rsample_and_log_prob(sample_shape)[0]

    def log_prob(self, value: Tensor) -> Tensor:
        value = value.expand(*torch.broadcast_shapes(value.shape[:-1], self.batch_shape), *self.event_shape)
        start = self.step.inv(value)
        return self.base.log_prob(start) - self.step.log_abs_det_jacobian(start, value)

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """E z and Var z, (B, d), by sums over the points of their images minus the image of the mean of the base."""
        with float32():
            return self._sums()

    def _sums(self) -> tuple[Tensor, Tensor]:
        centre = self.step(self.base.mean)
        first, second = torch.zeros_like(centre), torch.zeros_like(centre)
        points = normal_points(self.event_shape[0]).to(centre)
        rows = math.prod(self.batch_shape)
        fit = len(points) * rows <= AT_ONCE
        for unit in (points,) if fit else points.split(max(1, AT_ONCE // rows)):
            unit = unit.reshape(len(unit), *[1] * len(self.batch_shape), -1)
            moved = self.step(self.base.mean + self.base.stddev * unit) - centre
            first, second = first + moved.sum(0), second + moved.square().sum(0)
        shift = first / len(points)
        return centre + shift, second / len(points) - shift.square()

    @property
    def mean(self) -> Tensor:
        """E z, (B, d), by fixed points."""
        return self._moments[0]

    @property
    def variance(self) -> Tensor:
        """Var z, (B, d), by fixed points."""
        return self._moments[1]
