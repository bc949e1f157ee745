"""Groups of runs with one configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vae_cli.config import comparison
from vae_cli.config.comparison import written
from vae_cli.config.settings import setting_of
from vae_cli.report.estimate import Estimate
from vae_cli.report.runs import Run
from vae_cli.runs.folder import RunFolder

CLASS = "_target_"
DATA = (CLASS, "path", "binarize", "val_size", "val_seed")
FACTS = ("data/name", "data/sha256", "data/domain")
"""Settings and facts that identify a data set; others, such as a batch size, do not."""

CHANGED = "dataset.sha256"
"""The choice that separates configurations if the data changed between runs of one setting."""

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
    """

    number: int
    runs: tuple[Run, ...]
    choices: dict[str, Any]
    words: dict[str, str]

    @property
    def name(self) -> str:
        """The choices as text."""
        return self.without(None) or "all runs"

    @property
    def label(self) -> str:
        """The name if it fits a legend, else the number in the table."""
        return self.name if len(self.name) <= LONG else f"configuration {self.number}"

    def without(self, key: str | None) -> str:
        """The choices as text, except for one key."""
        return ", ".join(f"{self.words[name]}={shown(value)}" for name, value in self.choices.items() if name != key)

    @cached_property
    def finished(self) -> tuple[Run, ...]:
        """Finished runs by seed; a repeated seed counts once, with its newest run."""
        done = [run for run in self.runs if run.status == "done"]
        done.sort(key=lambda run: RunFolder(run.folder).results_file.stat().st_mtime_ns)
        newest = {run.config.get("seed"): run for run in done}
        return tuple(newest[seed] for seed in sorted(newest, key=_rank))

    @property
    def standing(self) -> str:
        """Number of runs that count, and the states of the others."""
        states = Counter(run.status for run in self.runs)
        repeated = states.pop("done", 0) - len(self.finished)
        others = [f"{count} {state}" for state, count in states.items()] + [f"{repeated} repeated"] * (repeated > 0)
        return ", ".join([f"n = {len(self.finished)}", *others])

    def estimate(self, metric: str) -> Estimate | None:
        """The estimate of a metric over the finished runs that have it."""
        values = [run.numbers[metric] for run in self.finished if metric in run.numbers]
        return Estimate.of(values) if values else None

    @property
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
    keys = _differing([same[0] for same in together.values()])
    mixed = any(len(part) > 1 for part in parts)
    keys = [CHANGED] * mixed + keys
    words = _words(keys)
    chosen = [
        (({CHANGED: digest} if mixed and digest else {}) | _choices(same[0], keys), tuple(same))
        for part in parts
        for digest, same in part.items()
    ]
    chosen.sort(key=lambda pair: [_rank(pair[0].get(key)) for key in keys])
    return [Group(number, same, choices, words) for number, (choices, same) in enumerate(chosen, 1)]


def _by_data(runs: Sequence[Run]) -> dict[str | None, list[Run]]:
    """Runs of one configuration by the SHA-256 of their data; runs without it join the first."""
    told = list(dict.fromkeys(run.digest for run in runs if run.digest))
    parts: dict[str | None, list[Run]] = {}
    for run in runs:
        parts.setdefault(run.digest or next(iter(told), None), []).append(run)
    return parts


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


def best(groups: Sequence[Group]) -> list[bool]:
    """True for a group with the best mean validation among comparable ones; test data do not count."""
    contests: dict[tuple[object, ...], list[int]] = {}
    for number, one in enumerate(groups):
        if one.validation is not None:
            contests.setdefault(one.comparison, []).append(number)
    rivals = [numbers for numbers in contests.values() if len(numbers) > 1]
    winners = {max(numbers, key=lambda number: groups[number].validation or 0.0) for numbers in rivals}
    return [number in winners for number in range(len(groups))]


def shared(groups: Sequence[Group]) -> dict[str, Any]:
    """Settings that all configurations share."""
    first, *others = (one.runs[0].config for one in groups)
    return {
        name: value
        for name, value in first.items()
        if setting_of(name).distinguishes and all(name in other and other[name] == value for other in others)
    }


def shown(value: Any) -> str:
    """A value as on the command line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _differing(runs: Sequence[Run]) -> list[str]:
    """Keys in which configurations differ, those of the data first; keys of a class count within that class."""
    found = []
    names = list(dict.fromkeys(name for run in runs for name in run.config if setting_of(name).distinguishes))
    for name in names:
        node, _, leaf = name.rpartition(".")
        classes: dict[str, set[str]] = {}
        for run in runs:
            owner = "" if leaf == CLASS else str(run.config.get(f"{node}.{CLASS}"))
            classes.setdefault(owner, set()).add(written(run.config.get(name, ...)))
        if any(len(values) > 1 for values in classes.values()):
            found.append(name)
    kept = [name for name in found if f"{name}.{CLASS}" not in found]  # an empty group, if others have a class
    nodes = list(dict.fromkeys(name.partition(".")[0] for name in names))
    return sorted(kept, key=lambda name: (not name.startswith("dataset."), nodes.index(name.partition(".")[0])))


def _words(keys: Sequence[str]) -> dict[str, str]:
    """Short names of keys: the last part, or the whole key if two last parts are equal."""
    names = {key: key.removesuffix(f".{CLASS}") for key in keys}
    last = {key: name.rpartition(".")[2] for key, name in names.items()}
    counts = Counter(last.values())
    return {key: last[key] if counts[last[key]] == 1 else names[key] for key in keys}


def _choices(run: Run, keys: Sequence[str]) -> dict[str, Any]:
    """The values of this configuration under these keys, classes by their last names."""
    found = {key: run.config[key] for key in keys if key in run.config}
    return {key: str(v).rpartition(".")[2] if key.endswith(CLASS) else v for key, v in found.items()}


def _rank(value: Any) -> tuple[int, float, str]:
    """Sort key: numbers, then text, then None."""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return (2, 0.0, "") if value is None else (1, 0.0, str(value))
