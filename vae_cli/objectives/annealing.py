"""Annealing: factors of the weights of an objective, functions of the epoch alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from vae_cli.types import Fraction, PositiveFloat, PositiveFraction, PositiveInt


@dataclass(frozen=True, kw_only=True)
class Annealing(ABC):
    """A factor of the weights of an objective that rises from `start` to 1.

    Args:
        weights: names of the weights that it multiplies; None: all
        start: factor at epoch 0
    """

    weights: list[str] | None
    start: Fraction

    def factor(self, weight: str, epoch: float) -> float:
        """The factor of a weight at an epoch, which may be a fraction."""
        if self.weights is not None and weight not in self.weights:
            return 1.0
        return self.start + (1 - self.start) * min(1.0, self.progress(epoch))

    @abstractmethod
    def progress(self, epoch: float) -> float:
        """Fraction of the rise that is done; 1 or more after its end."""


@dataclass(frozen=True, kw_only=True)
class LinearAnnealing(Annealing):
    """A linear rise (Sonderby et al. 2016, section 2.2).

    Args:
        epochs: length of the rise
    """

    epochs: PositiveFloat

    def progress(self, epoch: float) -> float:
        return epoch / self.epochs


@dataclass(frozen=True, kw_only=True)
class CyclicalAnnealing(Annealing):
    """Cycles of a linear rise and a plateau at 1 (Fu et al. 2019).

    Args:
        epochs: length of a cycle
        cycles: number of cycles; the factor is 1 after the last
        rise: fraction of a cycle in which the factor rises
    """

    epochs: PositiveFloat
    cycles: PositiveInt
    rise: PositiveFraction

    def progress(self, epoch: float) -> float:
        if epoch >= self.cycles * self.epochs:
            return 1.0
        return epoch % self.epochs / (self.rise * self.epochs)
