"""Coordinate ascent: one factor of q after the other is set to its best, and the ELBO cannot fall."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from vae_cli.errors import UserError

ROUNDING = 1e-9
"""By how much of its size an ELBO may seem to fall from one step to the next."""


@dataclass(frozen=True)
class Step:
    """A factor that was set to its best, and the ELBO then, nats."""

    number: int
    factor: str
    elbo: float


class Study(ABC):
    """A model with a mean-field q, both with closed forms."""

    @property
    @abstractmethod
    def elbo(self) -> float:
        """E_q log p - E_q log q, nats."""

    @abstractmethod
    def sweep(self) -> Iterator[str]:
        """Set each factor to its best, in turn; after each its name, before the next is set."""

    @abstractmethod
    def findings(self) -> dict[str, Any]:
        """What q says now, in numbers."""

    @abstractmethod
    def figure(self, steps: list[Step]) -> Figure:
        """q beside p or the data, and the ELBO against the steps."""


def ascend(study: Study, sweeps: int, tolerance: float) -> list[Step]:
    """Steps until a whole sweep gains no more than `tolerance` nats; UserError if one loses, or there are too many."""
    steps = [Step(0, "start", study.elbo)]
    for _ in range(sweeps):
        before = steps[-1].elbo
        for factor in study.sweep():
            steps.append(Step(len(steps), factor, study.elbo))
            gain = steps[-1].elbo - steps[-2].elbo
            if gain < -ROUNDING * max(1.0, abs(steps[-2].elbo)):
                raise UserError(f"the ELBO fell by {-gain:.3g} nats at step {len(steps) - 1}, {factor}")
        if steps[-1].elbo - before <= tolerance:
            return steps
    raise UserError(f"sweeps={sweeps}: the last one still gained more than tolerance={tolerance} nats; raise either")
