"""Learning-rate schedules: factors of the base rate as functions of the fraction of training done, t in [0, 1].

They depend on t alone, so that a resumed or extended run needs no state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vae_cli.types import Fraction, OpenFraction, PositiveFloat


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Constant learning rate: the base rate."""

    def __call__(self, t: float) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Half a cosine from the base rate to `final` times it (Loshchilov and Hutter 2017).

    Args:
        final: factor at the end
    """

    final: Fraction

    def __call__(self, t: float) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * min(t, 1.0))) / 2


@dataclass(frozen=True, kw_only=True)
class OneCycle:
    """Half a cosine up to the base rate, and half a cosine down (Smith 2018).

    Args:
        rise: fraction of training in which the rate rises
        start: factor at the start
        final: factor at the end
    """

    rise: OpenFraction
    start: Fraction
    final: Fraction

    def __call__(self, t: float) -> float:
        low, s = (self.start, 1 - t / self.rise) if t < self.rise else (self.final, (t - self.rise) / (1 - self.rise))
        return low + (1 - low) * (1 + math.cos(math.pi * min(s, 1.0))) / 2


@dataclass(frozen=True, kw_only=True)
class Exponential:
    """Exponential decay from the base rate to `final` times it (Burda et al. 2015: from 1e-3 to 1e-4).

    Args:
        final: factor at the end
    """

    final: PositiveFloat

    def __call__(self, t: float) -> float:
        return self.final ** min(t, 1.0)
