"""Coordinate ascent: each factor of q in turn is set to its optimum; the ELBO cannot fall."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from vae_cli.errors import UserError

ROUNDING = 1e-9
"""Relative tolerance for a fall of the ELBO by rounding in one step."""


@dataclass(frozen=True)
class Step:
    """The factor that was updated, and the ELBO afterwards, nats."""

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
        """Set each factor to its optimum in turn; yields its name after each update."""

    @abstractmethod
    def findings(self) -> dict[str, Any]:
        """The parameters of q as numbers."""

    @abstractmethod
    def figure(self, steps: list[Step]) -> Figure:
        """A figure of q beside p or the data, and of the ELBO by step."""


def ascend(study: Study, sweeps: int, tolerance: float) -> list[Step]:
    """Steps until a sweep gains at most `tolerance` nats; UserError if the ELBO falls or `sweeps` do not suffice."""
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
    raise UserError(f"sweeps={sweeps}: the last sweep still gained more than tolerance={tolerance} nats; raise either")
