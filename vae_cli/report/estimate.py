"""A mean over runs with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` runs and half the width of its confidence interval (Student's t); None for a single run."""

    mean: float
    half_width: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """The estimate from one value or more.

        >>> str(Estimate.of([1.0, 2.0, 4.0])), str(Estimate.of([-95.123])), str(Estimate.of([16, 16]))
        ('2.3 ± 3.8', '-95.12', '16 ± 0')
        """
        n, mean = len(values), math.fsum(values) / len(values)
        if n == 1:
            return cls(mean, None, n)
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
        return cls(mean, float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * deviation / math.sqrt(n), n)

    def __str__(self) -> str:
        """The interval with two digits, the mean with the decimals of the interval."""
        if self.half_width:
            digits = min(6, max(0, 1 - math.floor(math.log10(self.half_width))))
        else:
            digits = 0 if self.mean == round(self.mean) else 2 if abs(self.mean) >= 10 else 3
        mean = f"{self.mean:.{digits}f}"
        if self.half_width is None:
            return mean
        return f"{mean} ± {self.half_width:.{digits if self.half_width else 0}f}"
