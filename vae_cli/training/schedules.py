"""Learning-rate schedules: factors of the base rate as functions of the fraction of training done, t in [0, 1].

Functions of t alone, so that a resumed or extended run knows its rate without any state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vae_cli.types import Fraction, OpenFraction, PositiveFloat


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The base rate throughout."""

    def __call__(self, t: float) -> float:
        """Factor at t."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """From the base rate down to `final` of it along half a cosine."""

    final: Fraction

    def __call__(self, t: float) -> float:
        """Factor at t."""
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * min(t, 1.0))) / 2


@dataclass(frozen=True, kw_only=True)
class OneCycle:
    """Up from `start` to 1 over the fraction `rise`, then down to `final`, both along half cosines (Smith 2018)."""

    rise: OpenFraction
    start: Fraction
    final: Fraction

    def __call__(self, t: float) -> float:
        """Factor at t."""
        low, s = (self.start, 1 - t / self.rise) if t < self.rise else (self.final, (t - self.rise) / (1 - self.rise))
        return low + (1 - low) * (1 + math.cos(math.pi * min(s, 1.0))) / 2


@dataclass(frozen=True, kw_only=True)
class Exponential:
    """From the base rate down to `final` of it, by equal factors (Burda et al. 2015 go from 1e-3 to 1e-4)."""

    final: PositiveFloat

    def __call__(self, t: float) -> float:
        """Factor at t."""
        return self.final ** min(t, 1.0)
