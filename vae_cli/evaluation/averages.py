"""Means over a data set, weighted by examples; `gather` adds the sums of the other processes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vae_cli.distributed import process_group
from vae_cli.models.trace import total


class Mean(NamedTuple):
    """A mean over examples and its standard error."""

    mean: float
    standard_error: float


class Sums:
    """Count, sum and sum of squares of vectors, in float64."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.count, self.sums, self.squares = (torch.zeros((), dtype=torch.float64) for _ in range(3))

    def add(self, values: Tensor) -> None:
        """Add values (K, B)."""
        values = values.double()
        self.count = self.count + values.shape[1]
        self.sums = self.sums + values.sum(1)
        self.squares = self.squares + values.square().sum(1)

    def gather(self) -> None:
        """Add the sums of all processes."""
        parts = process_group.all_gather_object([value.cpu() for value in (self.count, self.sums, self.squares)])
        self.count, self.sums, self.squares = (total(states) for states in zip(*parts, strict=True))


class Means(Sums):
    """Means of named per-example values, in float64, each with its standard error s / sqrt(N) over the examples."""

    def reset(self) -> None:
        super().reset()
        self.names: tuple[str, ...] = ()

    def gather(self) -> None:
        super().gather()
        self.names = next(filter(None, process_group.all_gather_object(self.names)), ())

    def update(self, values: dict[str, Tensor]) -> None:
        """Add values (B,) by name; the names are the same at every call."""
        self.names = tuple(values)
        self.add(torch.stack(list(values.values())))

    def compute(self) -> dict[str, Mean]:
        """The means of all values so far; the standard error of a single example is NaN."""
        means = self.sums / self.count
        variances = (self.squares / self.count - means.square()).clamp(min=0)
        errors = (variances / (self.count - 1)).sqrt()
        return {
            name: Mean(mean, error)
            for name, mean, error in zip(self.names, means.tolist(), errors.tolist(), strict=True)
        }


def with_errors(means: dict[str, Mean]) -> dict[str, float]:
    """Flat numbers: NAME is the mean, NAME_se its standard error.

    >>> with_errors({"elbo": Mean(-3.0, 0.5)})
    {'elbo': -3.0, 'elbo_se': 0.5}
    """
    return {key: value for name, mean in means.items() for key, value in zip((name, f"{name}_se"), mean, strict=True)}
