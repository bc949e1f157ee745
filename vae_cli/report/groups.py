"""Runs of one configuration together: means and confidence intervals over their seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import t

from vae_cli.report.runs import Run, apart

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` runs and half the width of its confidence interval (Student's t); None for a single run."""

    mean: float
    half_width: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """Of at least one value."""
        n, mean = len(values), math.fsum(values) / len(values)
        if n == 1:
            return cls(mean, None, n)
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
        return cls(mean, float(t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * deviation / math.sqrt(n), n)

    def __str__(self) -> str:
        if self.half_width is None:
            return f"{self.mean:.2f}" if abs(self.mean) >= 10 else f"{self.mean:.3f}"
        digits = max(0, 1 - math.floor(math.log10(self.half_width))) if self.half_width > 0 else 3
        return f"{self.mean:.{digits}f} ± {self.half_width:.{digits}f}"


@dataclass(frozen=True)
class Group:
    """Runs of one configuration; `choices` are the keys in which it differs from the other groups."""

    runs: tuple[Run, ...]
    choices: dict[str, Any]

    @property
    def name(self) -> str:
        """The choices in words."""
        return ", ".join(f"{short(key)}={value}" for key, value in self.choices.items()) or "all runs"

    @property
    def finished(self) -> list[Run]:
        """Those that are done."""
        return [run for run in self.runs if run.status == "done"]

    def estimate(self, metric: str) -> Estimate | None:
        """Of a metric over the finished runs that have it."""
        values = [run.results.get(metric) for run in self.finished]
        numbers = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
        return Estimate.of(numbers) if numbers else None

    @property
    def validation(self) -> float:
        """Mean of what checkpoints are chosen by; minus infinity where there is none."""
        values = [run.validation for run in self.finished if run.validation is not None]
        return math.fsum(values) / len(values) if values else -math.inf


def short(key: str) -> str:
    """A key without what is understood.

    >>> short("objective.beta"), short("objective._target_")
    ('beta', 'objective')
    """
    parts = key.split(".")
    return parts[-2] if parts[-1] == "_target_" else parts[-1]


def group(runs: Sequence[Run]) -> list[Group]:
    """Runs by configuration, in the order in which configurations first appear."""
    together: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        together.setdefault(run.key, []).append(run)
    names = dict.fromkeys(name for run in runs for name in run.config if not apart(name))
    differing = [name for name in names if len({repr(run.config.get(name)) for run in runs}) > 1]
    return [Group(tuple(same), _choices(same[0], differing)) for same in together.values()]


def _choices(run: Run, differing: Sequence[str]) -> dict[str, Any]:
    """The differing keys that this configuration has, classes by their last names."""
    found = {name: run.config[name] for name in differing if name in run.config}
    return {name: str(v).rpartition(".")[2] if name.endswith("_target_") else v for name, v in found.items()}


def best(groups: Sequence[Group]) -> Group | None:
    """The group of the best mean validation; test data have no say in it. None where nothing is finished."""
    ranked = [one for one in groups if one.finished and math.isfinite(one.validation)]
    return max(ranked, key=lambda one: one.validation, default=None)
