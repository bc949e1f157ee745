"""Metrics by configuration and against swept values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_cli.figures.style import GREY
from vae_cli.report.estimate import Estimate
from vae_cli.report.groups import CHANGED, DATA, LONG, Group
from vae_cli.report.metrics import is_main, words
from vae_cli.report.names import CLASS, PRESET, shown
from vae_cli.report.plots.plot import WIDTH, Plot, colours, legend, single, text

TICKS = 8
"""Most swept values with a tick of their own."""

LETTERS = 5
"""Longest text of such a tick."""

Point = tuple[float, Estimate, str]


def swept(groups: Sequence[Group]) -> list[str]:
    """Keys with two values or more, all else equal; numbers of different data are not compared."""
    data = {CHANGED, *(f"dataset.{key}" for key in DATA)}
    keys = dict.fromkeys(key for one in groups for key in one.choices if key not in data)
    return [key for key in keys if _families(groups, key)]


def against(groups: Sequence[Group], key: str, metric: str) -> Plot | None:
    """A metric against one swept value: a line for each combination of the other choices, error bars over seeds."""
    families = {
        others: measured
        for others, family in _families(groups, key).items()
        if len(measured := [(one, estimate) for one in family if (estimate := one.estimate(metric))]) > 1
    }
    if not families:
        return None
    places, names = _places([one.choices[key] for family in families.values() for one, _ in family])
    own = colours(len(groups))
    lines = {
        others: [(places[shown(one.choices[key])], estimate, own[one.number - 1]) for one, estimate in family]
        for others, family in families.items()
    }
    figure, axes = single(list(lines))
    palette = [GREY] if len(lines) == 1 else colours(len(lines))
    for colour, (others, line) in zip(palette, lines.items(), strict=True):
        _line(axes, sorted(line, key=lambda point: point[0]), colour, others, ordered=not names)
        if len(lines) == 1:
            axes.scatter([p[0] for p in line], [p[1].mean for p in line], s=16, color=[p[2] for p in line], zorder=3)
    _axis(axes, list(places.values()), names)
    axes.set(xlabel=groups[0].words[key], ylabel=words(metric))
    legend(figure, axes, list(lines))
    word = groups[0].words[key]
    title = f"{words(metric)} against {word}"
    return Plot(f"against_{word}/{metric}", f"Against {word}", title, figure, main=is_main(metric))


def bars(groups: Sequence[Group], metric: str, section: str) -> Plot | None:
    """A bar for each configuration, with its interval over seeds."""
    palette = colours(len(groups))
    found = [(one.label, one.estimate(metric), palette[one.number - 1]) for one in groups]
    kept = [(name, estimate, colour) for name, estimate, colour in found if estimate]
    if not kept:
        return None
    figure = Figure(figsize=(WIDTH, 0.5 + 0.42 * len(kept)))
    axes = figure.subplots()
    for row, (name, estimate, colour) in enumerate(kept):
        axes.barh(row, estimate.mean, xerr=estimate.half_width, color=colour, height=0.3, ecolor=GREY)
        axes.annotate(text(name), (0, row - 0.2), fontsize=7, va="bottom")
    axes.set(xlabel=words(metric), yticks=[], ylim=(len(kept) - 0.6, -0.9), xlim=(0, None))
    return Plot(metric.rpartition("/")[2], section, f"{words(metric)} of each configuration", figure)


def _families(groups: Sequence[Group], key: str) -> dict[str, list[Group]]:
    """Two groups or more that differ in this key alone, by their other choices, or by numbers if that text is long.

    Two families may have equal choices but other settings; the text of the second has its numbers.
    """
    families: dict[object, list[Group]] = {}
    for one in groups:
        if key in one.choices:
            families.setdefault((one.without(key), _fixed(one, key)), []).append(one)
    found: dict[str, list[Group]] = {}
    for family in (family for family in families.values() if len(family) > 1):
        others = family[0].without(key)
        numbers = f"configurations {', '.join(str(one.number) for one in family)}"
        found[numbers if len(others) > LONG or others in found else others] = family
    return found


def _fixed(group: Group, key: str) -> tuple[tuple[str, str], ...]:
    """The settings of a configuration other than `key`; a class comes with its keys, an experiment with any."""
    if key == PRESET:
        return ()
    node = key.removesuffix(f".{CLASS}")
    return tuple(pair for pair in group.runs[0].key if pair[0] != node and not pair[0].startswith(f"{node}."))


def _places(values: Sequence[Any]) -> tuple[dict[str, float], list[str]]:
    """Position of each value on the axis: numbers at their value, others side by side."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return {shown(value): float(value) for value in values}, []
    names = list(dict.fromkeys(map(shown, values)))
    return {name: float(place) for place, name in enumerate(names)}, names


def _line(axes: Axes, line: Sequence[Point], colour: str, others: str, *, ordered: bool) -> None:
    """Means with their intervals, connected if the axis has an order."""
    widths = [estimate.half_width or 0.0 for _, estimate, _ in line]
    means = [estimate.mean for _, estimate, _ in line]
    style = {"color": colour, "marker": "o", "linestyle": "-" if ordered else "", "capsize": 2, "linewidth": 1}
    axes.errorbar([place for place, _, _ in line], means, widths, label=text(others), **style)


def _axis(axes: Axes, places: Sequence[float], names: Sequence[str]) -> None:
    """Ticks at the values, on a logarithmic axis if the values span decades."""
    values = sorted(set(places))
    if names:
        axes.set_xticks(values, [text(name)[:16] for name in names], rotation=20 if len(names) > 3 else 0)
        axes.set_xlim(-0.5, len(names) - 0.5)
        return
    if values[0] > 0 and values[-1] / values[0] > 7:
        axes.set_xscale("log")
    texts = [f"{value:g}" for value in values]
    if len(values) <= TICKS and max(map(len, texts)) <= LETTERS:
        axes.set_xticks(values, texts)
        axes.set_xticks([], minor=True)
