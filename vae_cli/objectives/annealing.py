"""Annealing: factors of the weights of an objective, functions of the epoch alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

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

    def factor(self, weight: str, epoch: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The factor of a weight at an epoch, which may be a fraction."""
        if self.weights is not None and weight not in self.weights:
            return torch.ones_like(epoch)
        return self.start + (1 - self.start) * self.progress(epoch).clamp(max=1.0)

    @abstractmethod
    def progress(self, epoch: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Fraction of the rise that is done; 1 or more after its end."""


@dataclass(frozen=True, kw_only=True)
class LinearAnnealing(Annealing):
    """A linear rise (Sonderby et al. 2016, section 2.2).

    Args:
        epochs: length of the rise
    """

    epochs: PositiveFloat

    def progress(self, epoch: Float[Tensor, ""]) -> Float[Tensor, ""]:
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

    def progress(self, epoch: Float[Tensor, ""]) -> Float[Tensor, ""]:
        risen = epoch % self.epochs / (self.rise * self.epochs)
        return risen.where(epoch < self.cycles * self.epochs, torch.ones_like(epoch))
