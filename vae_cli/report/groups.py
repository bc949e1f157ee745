"""Groups of runs with one configuration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from vae_cli.config import comparison
from vae_cli.config.comparison import written
from vae_cli.config.settings import setting_of
from vae_cli.report.estimate import Estimate
from vae_cli.report.names import CLASS, FULL, choices_of, rank, shown
from vae_cli.report.runs import Run
from vae_cli.runs.folder import RunFolder

DATA = (CLASS, "path", "binarize", "val_size", "val_seed")
FACTS = ("data/name", "data/sha256", "data/domain")
"""Settings and facts that identify a data set; others, such as a batch size, do not."""

CHANGED = "dataset.sha256"
"""The choice that separates configurations if the data changed between runs of one setting."""

SHORT = 4
"""Digits of numbers in names, unless more are needed to tell configurations apart."""

LONG = 80
"""Longest name in a legend, in characters."""

VALIDATION = {"validation/elbo": 1, "validation/distortion": -1}
"""Numbers that select a configuration, with the sign that makes larger better."""


@dataclass(frozen=True)
class Group:
    """Runs of one configuration.

    Args:
        number: of the configuration in the report, from 1
        choices: the keys in which it differs from others, with their values
        words: short names of these keys
        alone: there is no other configuration
        digits: of numbers in names
    """

    number: int
    runs: tuple[Run, ...]
    choices: dict[str, Any]
    words: dict[str, str]
    alone: bool = True
    digits: int = FULL

    @property
    def name(self) -> str:
        """The choices as text, after the name that all its runs were given."""
        choices, given = self.without(None), {run.config.get("name") for run in self.runs}
        if len(given) == 1 and (name := given.pop()):
            return f"{name} ({choices})" if choices else str(name)
        return choices or ("all runs" if self.alone else "the defaults")

    @property
    def label(self) -> str:
        """The name if it fits a legend, else the number in the table."""
        return self.name if len(self.name) <= LONG else f"configuration {self.number}"

    def without(self, key: str | None) -> str:
        """The choices as text, except for one key."""
        return ", ".join(
            f"{self.words[name]}={shown(value, self.digits)}" for name, value in self.choices.items() if name != key
        )

    @cached_property
    def finished(self) -> tuple[Run, ...]:
        """Finished runs by seed; a repeated seed counts once, with its newest run."""
        done = [run for run in self.runs if run.status == "done"]
        done.sort(key=lambda run: RunFolder(run.folder).results_file.stat().st_mtime_ns)
        newest = {run.config.get("seed"): run for run in done}
        return tuple(newest[seed] for seed in sorted(newest, key=rank))

    @property
    def states(self) -> str:
        """Number of runs that count, and the states of the others."""
        states = Counter(run.status for run in self.runs)
        repeated = states.pop("done", 0) - len(self.finished)
        others = [f"{count} {state}" for state, count in states.items()] + [f"{repeated} repeated"] * (repeated > 0)
        return ", ".join([f"n = {len(self.finished)}", *others])

    def estimate(self, metric: str) -> Estimate | None:
        """The estimate of a metric over the finished runs that have it."""
        measured = [run for run in self.finished if metric in run.numbers]
        if not measured:
            return None
        return Estimate.of([run.numbers[metric] for run in measured], measured[0].numbers.get(f"{metric}_se"))

    @cached_property
    def comparison(self) -> tuple[object, ...]:
        """Equal for configurations whose validation can be compared: data, bound, probability or density.

        The SHA-256 of the data, if known, replaces the settings of the data set.
        """
        first = self.finished[0]
        settings = comparison.measure(first.config)
        if first.digest is None:
            settings |= comparison.data(first.config)
        shared = sorted((name, written(value)) for name, value in settings.items())
        kind = next((name for name in VALIDATION if self.estimate(name)), None)
        bits = any(name.endswith("/bits_per_dim") for name in first.results)
        return (*shared, *(first.results.get(key) for key in FACTS), kind, bits)

    @property
    def validation(self) -> float | None:
        """Mean of the number that selects checkpoints; larger is better."""
        found = ((sign, self.estimate(name)) for name, sign in VALIDATION.items())
        return next((sign * estimate.mean for sign, estimate in found if estimate), None)


def group(runs: Sequence[Run]) -> list[Group]:
    """Runs by configuration, smaller values first; runs without a configuration are dropped.

    Runs of one setting with different data are two configurations.
    """
    together: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        if run.config:
            together.setdefault(run.key, []).append(run)
    parts = [_by_data(same) for same in together.values()]
    named = choices_of([same[0] for same in together.values()])
    mixed = any(len(part) > 1 for part in parts)
    chosen = [
        (({CHANGED: digest} if mixed and digest else {}) | choices, tuple(same))
        for part, choices in zip(parts, named.choices, strict=True)
        for digest, same in part.items()
    ]
    keys, words = [CHANGED, *named.words], {CHANGED: "sha256"} | named.words
    chosen.sort(key=lambda pair: [rank(pair[0].get(key)) for key in keys])
    alone = len(chosen) == 1

    def groups(digits: int) -> list[Group]:
        return [Group(number, same, one, words, alone, digits) for number, (one, same) in enumerate(chosen, 1)]

    short = groups(SHORT)
    return short if len({one.without(None) for one in short}) == len(short) else groups(FULL)


def _by_data(runs: Sequence[Run]) -> dict[str | None, list[Run]]:
    """Runs of one configuration by the SHA-256 of their data; runs without it join the first."""
    told = list(dict.fromkeys(run.digest for run in runs if run.digest))
    parts: dict[str | None, list[Run]] = {}
    for run in runs:
        parts.setdefault(run.digest or next(iter(told), None), []).append(run)
    return parts


def data_sets(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by the name of their data set, in order; a run without results has the name that equal settings have."""
    known = {run.data_settings: name for run in runs if (name := run.results.get("data/name"))}
    found: dict[str, list[Run]] = {}
    for run in runs:
        if run.config:
            name = str(run.results.get("data/name") or known.get(run.data_settings) or run.data_name)
            found.setdefault(name, []).append(run)
    return dict(sorted(found.items()))


def changed(groups: Sequence[Group]) -> list[str]:
    """A sentence for each set of configurations that differ only in their data."""
    by_settings: dict[tuple[tuple[str, str], ...], list[Group]] = {}
    for one in groups:
        if CHANGED in one.choices:
            by_settings.setdefault(one.runs[0].key, []).append(one)
    return [
        f"Configurations {', '.join(str(one.number) for one in same)} have the same settings but different data "
        "(data/sha256 in results.json): the data set has changed between their runs."
        for same in by_settings.values()
        if len(same) > 1
    ]


def comparable(groups: Sequence[Group]) -> list[list[Group]]:
    """Sets of two groups or more whose numbers can be compared."""
    found: dict[tuple[object, ...], list[Group]] = {}
    for one in groups:
        if one.finished:
            found.setdefault(one.comparison, []).append(one)
    return [same for same in found.values() if len(same) > 1]


def best(groups: Sequence[Group]) -> list[bool]:
    """True for a group with the best mean validation among comparable ones; test data do not count."""
    measured = [[one for one in same if one.validation is not None] for same in comparable(groups)]
    winners = {max(same, key=lambda one: one.validation or 0.0).number for same in measured if len(same) > 1}
    return [one.number in winners for one in groups]


def ranked(groups: Sequence[Group]) -> list[Group]:
    """The groups by mean validation, best first and numbered so, if all that have finished runs can be compared."""
    finished = [one for one in groups if one.finished]
    if any(one.validation is None for one in finished) or len({one.comparison for one in finished}) > 1:
        return list(groups)
    ordered = sorted(groups, key=lambda one: math.inf if one.validation is None else -one.validation)
    return [replace(one, number=number) for number, one in enumerate(ordered, 1)]


def leaders(groups: Sequence[Group], metric: str, better: int) -> set[int]:
    """Numbers of the groups that are best in a metric by more than the error of the difference.

    Args:
        better: 1 where larger is better, -1 where smaller is, 0 where neither is
    """
    found = set[int]()
    for same in comparable(groups) if better else []:
        measured = [(estimate, one) for one in same if (estimate := one.estimate(metric))]
        measured.sort(key=lambda pair: -better * pair[0].mean)
        if len(measured) > 1 and measured[0][0].differs(measured[1][0]):
            found.add(measured[0][1].number)
    return found


def shared(groups: Sequence[Group]) -> dict[str, Any]:
    """Settings that all configurations share."""
    first, *others = (one.runs[0].config for one in groups)
    return {
        name: value
        for name, value in first.items()
        if setting_of(name).distinguishes and all(name in other and other[name] == value for other in others)
    }
