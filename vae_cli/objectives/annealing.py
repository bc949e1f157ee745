"""Weights of an objective that change while it trains: factors of them as functions of the training's clock, in epochs.

Functions of the clock alone, so that a resumed run knows its weights without any state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from vae_cli.types import Fraction, PositiveFloat, PositiveFraction, PositiveInt


@dataclass(frozen=True, kw_only=True)
class Annealing(ABC):
    """A factor that rises from `start` to 1, of the named weights of an objective, or of all that it has."""

    weights: list[str] | None
    start: Fraction

    def factor(self, weight: str, epoch: float) -> float:
        """Of a weight at an epoch."""
        if self.weights is not None and weight not in self.weights:
            return 1.0
        return self.start + (1 - self.start) * min(1.0, self.progress(epoch))

    @abstractmethod
    def progress(self, epoch: float) -> float:
        """How far the factor has risen: 0 at the start, 1 and more at the top."""


@dataclass(frozen=True, kw_only=True)
class LinearAnnealing(Annealing):
    """Once, evenly, over `epochs` (Sonderby et al. 2016, section 2.2)."""

    epochs: PositiveFloat

    def progress(self, epoch: float) -> float:
        """The fraction of `epochs` that is done."""
        return epoch / self.epochs


@dataclass(frozen=True, kw_only=True)
class CyclicalAnnealing(Annealing):
    """`cycles` times over `epochs` each, evenly in the fraction `rise` of a cycle, then at 1 (Fu et al. 2019)."""

    epochs: PositiveFloat
    cycles: PositiveInt
    rise: PositiveFraction

    def progress(self, epoch: float) -> float:
        """The fraction of the present cycle's rise that is done; after the last cycle it is over."""
        if epoch >= self.cycles * self.epochs:
            return 1.0
        return epoch % self.epochs / (self.rise * self.epochs)
