"""A mean over runs with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

CONFIDENCE = 0.95
NORMAL = 1.96
"""Half the width of this interval of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` runs and half the width of its confidence interval (Student's t); None for a single run.

    Args:
        standard_error: over the examples of a single run, if it is known
    """

    mean: float
    half_width: float | None
    count: int
    standard_error: float | None = None

    @classmethod
    def of(cls, values: Sequence[float], standard_error: float | None = None) -> Estimate:
        """The estimate from one value or more; the standard error counts for one value only.

        >>> str(Estimate.of([1.0, 2.0, 4.0])), str(Estimate.of([-95.123])), str(Estimate.of([16, 16]))
        ('2.3 ± 3.8', '-95.12', '16 ± 0')
        """
        n, mean = len(values), math.fsum(values) / len(values)
        if n == 1:
            return cls(mean, None, n, standard_error)
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
        return cls(mean, float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * deviation / math.sqrt(n), n)

    @property
    def error(self) -> float | None:
        """Half the width of the interval, over examples for a single run; None where it is not known."""
        return NORMAL * self.standard_error if self.half_width is None and self.standard_error else self.half_width

    def differs(self, other: Estimate) -> bool:
        """True if the two means differ by more than their errors, added in squares."""
        known = self.error is not None and other.error is not None
        return known and abs(self.mean - other.mean) > math.hypot(self.error or 0.0, other.error or 0.0)

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
