"""Standardised data: the input of a model is u = (x - mean) / scale, and every reported number refers to x.

`Data.loader` and `Run.batch` turn x into u. `Likelihood.original` and `Scored.original` turn u into x. `Scored` gives
log p(x|z) at u.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution
from torch.types import _size

from vae_cli.distributions.distributions import UnvalidatedDistribution


@dataclass(frozen=True, eq=False)
class Standardisation:
    """u = (x - mean) / scale for each entry of x; mean and scale (*event), float64.

    mean, scale: mean and standard deviation of the training examples; an entry that is constant in them has scale 1
    log_scale: sum log scale, so that log p(x) = log p(u) - log_scale
    """

    mean: Tensor
    scale: Tensor
    log_scale: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_scale", float(self.scale.log().sum()))

    @classmethod
    def of(cls, x: Float[Tensor, "N ..."]) -> Standardisation:
        """The statistics of the training examples x (N, *event)."""
        values = x.numpy().astype(np.float64)
        moved = values - values[0]  # exact for neighbours, so that large offsets cost no digits
        reach = np.abs(moved).max(0)
        unit = moved / np.where(reach > 0, reach, 1.0)
        mean, deviation = values[0] + reach * unit.mean(0), reach * unit.std(0)
        return cls(torch.from_numpy(mean), torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))

    def standardise(self, x: Float[Tensor, "*S D"]) -> Float[Tensor, "*S D"]:
        """u of x (..., *event), float32; the difference is taken in float64."""
        return ((x.double() - self.mean.to(x.device)) / self.scale.to(x.device)).float()

    def original(self, u: Float[Tensor, "*S D"]) -> Float[Tensor, "*S D"]:
        """x of u (..., *event), float64."""
        return self.mean.to(u.device) + self.deviation(u)

    def deviation(self, u: Float[Tensor, "*S D"]) -> Float[Tensor, "*S D"]:
        """A difference of two u as one of two x, float64."""
        return self.scale.to(u.device) * u.double()


def constant(x: Tensor, named: int = 5) -> str:
    """In words, the entries of x (N, *event) that are the same in all examples; empty if there are none."""
    found = (x == x[0]).all(0).nonzero().tolist()
    names = [str(index[0] if len(index) == 1 else tuple(index)) for index in found[:named]]
    names += [f"{len(found) - named} more"] * (len(found) > named)
    many = len(found) > 1
    return (
        f"column{'s' * many} {', '.join(names)} hold{'s' * (not many)} the same value in all examples" if found else ""
    )


def furthest(x: Tensor) -> str:
    """In words, the entry of x (N, *event) that is furthest from 0."""
    index = tuple(int(i) for i in torch.unravel_index(x.abs().argmax(), x.shape))
    place = f"column {index[1]}" if len(index) == 2 else f"entry {index[1:]}"
    return f"{place} of x reaches {float(x[index]):.4g}"


class Scored(UnvalidatedDistribution):
    """The distribution of u, whose `log_prob` of u is the log-density of x = mean + scale u."""

    def __init__(self, base: Distribution, units: Standardisation) -> None:
        self.base, self.units = base, units
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        return self.base.variance

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        return self.base.sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(u) - sum log scale, for u."""
        return self.base.log_prob(value) - self.units.log_scale

    def original(self) -> Original:
        """The distribution of x."""
        return Original(self.base, self.units)


class Original(Scored):
    """The distribution of x = mean + scale u itself, float64."""

    @property
    def mean(self) -> Tensor:
        return self.units.original(self.base.mean)

    @property
    def variance(self) -> Tensor:
        return self.units.deviation(self.units.deviation(self.base.variance))

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        return self.units.original(self.base.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(self.units.standardise(value))


def in_own_units(likelihood: Distribution) -> Distribution:
    """p(x|z) of x in the data's own units."""
    return likelihood.original() if isinstance(likelihood, Scored) else likelihood
