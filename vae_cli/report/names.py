"""Names of configurations: the overrides that were typed and differ, and settings that tell the rest apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vae_cli.config.comparison import written
from vae_cli.config.settings import setting_of
from vae_cli.report.runs import Run

CLASS = "_target_"
FULL = 12
"""Digits of numbers as they were set, without the noise of binary fractions."""
PRESET = "experiment"
"""The group that sets keys of other groups and has none of its own."""


@dataclass(frozen=True)
class Names:
    """The choices of each configuration by key, and a short name of each key, in order."""

    choices: list[dict[str, Any]]
    words: dict[str, str]


def choices_of(runs: Sequence[Run]) -> Names:
    """The choices that tell configurations apart, one run of each.

    The keys that were typed for any of them come first; configurations that are equal in these are told apart by all
    settings in which they differ.
    """
    typed = _typed(runs)
    found = [{key: one[key] for key in typed if key in one} for one in map(_values, runs)]
    equal: dict[str, list[int]] = {}
    for number, choices in enumerate(found):
        equal.setdefault(written(list(map(str, choices.items()))), []).append(number)
    keys = list(typed)
    for numbers in equal.values():
        differing = _differing([runs[number] for number in numbers]) if len(numbers) > 1 else []
        keys += [key for key in differing if key not in keys]
        for number in numbers:
            found[number] |= _choices(runs[number], differing)
    return Names(found, _words(keys))


def _typed(runs: Sequence[Run]) -> list[str]:
    """Keys and groups that were typed for any of the runs, and in which the runs differ."""
    values = [_values(run) for run in runs]
    names = dict.fromkeys(name for run in runs for name in run.typed)
    if len({run.data_settings for run in runs}) == 1:
        names.pop("dataset", None)  # an option that some runs have by default
    known = [name for name in names if any(name in one for one in values)]
    return [name for name in known if len({written(one.get(name, ...)) for one in values}) > 1]


def _values(run: Run) -> dict[str, Any]:
    """The settings of a run that distinguish it, and the options that were typed."""
    nodes = {key.partition(".")[0] for key in run.config} | {PRESET}
    options = {key: value for key, value in run.typed.items() if key in nodes and key not in run.config}
    found = run.config | options
    return {key: value for key, value in found.items() if setting_of(key).distinguishes}


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


def shown(value: Any, digits: int = FULL) -> str:
    """A value as on the command line, floats with so many digits."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, list):
        return f"[{','.join(shown(one, digits) for one in value)}]"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def rank(value: Any) -> tuple[int, float, str]:
    """Sort key: numbers, then text, then None."""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return (2, 0.0, "") if value is None else (1, 0.0, str(value))
