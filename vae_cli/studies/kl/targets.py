"""One-dimensional targets: log p, perhaps up to a constant, and draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from vae_cli.errors import UserError
from vae_cli.studies.number_files import read_numbers
from vae_cli.types import PositiveFloat, Seed, SeveralInt


class Target(ABC):
    """p(x) of a scalar x, float64.

    Args:
        has_density: log p(x) can be evaluated, perhaps up to a constant
        normalised: that constant is known
        has_draws: draws x ~ p are available
    """

    has_density: ClassVar[bool]
    normalised: ClassVar[bool]
    has_draws: ClassVar[bool]

    @abstractmethod
    def span(self) -> tuple[float, float]:
        """An interval that holds nearly all of p."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), nats, up to a constant where it is not normalised."""

    @abstractmethod
    def draws(self) -> Tensor:
        """x ~ p, (N,), equal at each call."""


@dataclass(frozen=True, kw_only=True)
class Mixture(Target):
    """A Gaussian mixture, p(x) = sum_k w_k N(x; m_k, s_k^2).

    Args:
        weights: w, (K,), normalised to sum to 1
        means: m, (K,)
        scales: standard deviations s, (K,)
        size: draws x ~ p
        seed: of the draws
    """

    weights: list[PositiveFloat]
    means: list[float]
    scales: list[PositiveFloat]
    size: SeveralInt
    seed: Seed

    has_density = normalised = has_draws = True

    def __post_init__(self) -> None:
        if not 0 < len(self.weights) == len(self.means) == len(self.scales):
            raise UserError("target.weights, target.means, target.scales: as many of each as there are components")

    @property
    def distribution(self) -> MixtureSameFamily:
        weights, means, scales = (torch.tensor(v, dtype=torch.float64) for v in (self.weights, self.means, self.scales))
        return MixtureSameFamily(Categorical(weights), Normal(means, scales))

    def span(self) -> tuple[float, float]:
        """Three standard deviations around each component."""
        ends = [(mean - 3 * scale, mean + 3 * scale) for mean, scale in zip(self.means, self.scales, strict=True)]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.distribution.log_prob(x)

    def draws(self) -> Tensor:
        """x ~ p, (size,)."""
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            return self.distribution.sample(torch.Size((self.size,)))


@dataclass(frozen=True, kw_only=True)
class DoubleWell(Target):
    """log p(x) = -depth ((x / distance)^2 - 1)^2 - tilt x + an unknown constant.

    Args:
        depth: height of the barrier between the two wells, in nats
        distance: of the wells from 0
        tilt: gradient of the linear term, in nats per unit of x
    """

    depth: PositiveFloat
    distance: PositiveFloat
    tilt: float

    has_density = True
    normalised = has_draws = False

    def span(self) -> tuple[float, float]:
        """The interval where p is at least e^-10 of its maximum."""
        energy = np.polynomial.Polynomial([self.depth, self.tilt * self.distance, -2 * self.depth, 0.0, self.depth])
        bottom = min(energy(root.real) for root in energy.deriv().roots() if np.isreal(root))
        ends = [self.distance * root.real for root in (energy - bottom - 10).roots() if np.isreal(root)]
        return float(min(ends)), float(max(ends))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) + constant."""
        return -self.depth * ((x / self.distance).square() - 1).square() - self.tilt * x

    def draws(self) -> Tensor:
        raise UserError("target: of a double well only the density is known")


@dataclass(frozen=True, kw_only=True)
class Samples(Target):
    """Draws x ~ p from a file.

    Args:
        path: .npy or text file of one number per draw
    """

    path: str

    has_draws = True
    has_density = normalised = False

    def span(self) -> tuple[float, float]:
        low, high = self.draws().aminmax()
        return low.item(), high.item()

    def log_prob(self, x: Tensor) -> Tensor:
        """Refused: log p is unknown."""
        raise UserError("target: of samples the density is not known")

    def draws(self) -> Tensor:

        values = read_numbers("target.path", self.path)
        if values.ndim != 1:
            raise UserError(f"target.path={self.path}: expected one column; it holds {values.shape}")
        if len(values) < 2 or np.ptp(values) == 0:
            raise UserError(f"target.path={self.path}: expected two different numbers or more")
        return torch.from_numpy(values)
