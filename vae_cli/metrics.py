"""Averages over a data set, weighted by examples on any number of devices: torchmetrics hold and reduce the sums."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric


class Mean(NamedTuple):
    """A mean over examples and its standard error."""

    mean: float
    standard_error: float


class Means(Metric):
    """Means of named per-image values, in float64, each with its standard error s / sqrt(N) over the examples."""

    full_state_update = False
    count: Tensor
    sums: Tensor
    squares: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.names: tuple[str, ...] = ()
        for state in ("count", "sums", "squares"):
            self.add_state(state, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, values: dict[str, Tensor]) -> None:
        """Add values (B,) by name; the names are the same at every call."""
        self.names = tuple(values)
        stacked = torch.stack(list(values.values())).double()
        self.count = self.count + stacked.shape[1]
        self.sums = self.sums + stacked.sum(1)
        self.squares = self.squares + stacked.square().sum(1)

    def compute(self) -> dict[str, Mean]:
        """The means so far."""
        means = self.sums / self.count
        variances = (self.squares / self.count - means.square()).clamp(min=0)
        errors = (variances / (self.count - 1)).sqrt()  # NaN for a single example: it is not known
        return {
            name: Mean(mean, error)
            for name, mean, error in zip(self.names, means.tolist(), errors.tolist(), strict=True)
        }


class ActiveUnits(Metric):
    """Latent dimensions whose posterior mean varies over the data: Var_x(E_q[z_j]) > threshold (Burda et al. 2015)."""

    full_state_update = False
    count: Tensor
    sums: Tensor
    squares: Tensor

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        for state in ("count", "sums", "squares"):
            self.add_state(state, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, means: Tensor) -> None:
        """Add posterior means (B, d)."""
        means = means.flatten(1).double()
        self.count = self.count + len(means)
        self.sums = self.sums + means.sum(0)
        self.squares = self.squares + means.square().sum(0)

    def compute(self) -> int:
        """How many are active."""
        variances = self.squares / self.count - (self.sums / self.count).square()
        return int((variances > self.threshold).sum())
