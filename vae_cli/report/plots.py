"""The plots of a report, as matplotlib figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from vae_cli.figures.style import GREY, LINES, TEXT_WIDTH
from vae_cli.report.groups import Group, short

NAMED = 12
"""Groups that a legend can name."""


def plots(groups: Sequence[Group], metrics: Sequence[str]) -> dict[str, Figure]:
    """All that the runs allow, by title."""
    drawn = {
        "Rate against distortion": rate_distortion(groups),
        "Validation while training": curves(groups),
        "Active units": bars(groups, "test/active_units", "active units"),
    }
    for key in swept(groups):
        drawn[f"Against {short(key)}"] = against(groups, key, metrics)
    return {title: figure for title, figure in drawn.items() if figure is not None}


def colours(count: int) -> list[str]:
    """One for each group: a few that can be told apart, or shades where there are many."""
    if count <= len(LINES):
        return list(LINES[:count])
    return [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, 0.95, count))]


def swept(groups: Sequence[Group]) -> list[str]:
    """Keys that take at least two numeric values."""
    values: dict[str, set[float]] = {}
    for one in groups:
        for key, value in one.choices.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                values.setdefault(key, set()).add(float(value))
    return [key for key, found in values.items() if len(found) > 1]


def rate_distortion(groups: Sequence[Group]) -> Figure | None:
    """Each run's test rate and distortion; along a grey line the ELBO, minus their sum, is the same."""
    points = [
        (float(run.results["test/rate"]), float(run.results["test/distortion"]), number)
        for number, one in enumerate(groups)
        for run in one.finished
        if {"test/rate", "test/distortion"} <= run.results.keys()
    ]
    if not points:
        return None
    figure, axes = _single()
    rates, distortions = (np.array([point[i] for point in points]) for i in (0, 1))
    sums = np.linspace(*np.quantile(rates + distortions, [0, 1]), 4)
    low, high = rates.min(), rates.max()
    margin = 0.08 * (high - low or 1)
    ends = np.array([low - margin, high + margin])
    for total in sums:
        axes.plot(ends, total - ends, color=GREY, linewidth=0.4, zorder=0)
    palette = colours(len(groups))
    for number, one in enumerate(groups):
        mine = [point for point in points if point[2] == number]
        axes.scatter([p[0] for p in mine], [p[1] for p in mine], s=16, color=palette[number], label=one.name)
    axes.set(xlabel="rate (nats)", ylabel="distortion (nats)", xlim=ends)
    spread = 0.08 * (np.ptp(distortions) or 1)
    axes.set_ylim(distortions.min() - spread, distortions.max() + spread)
    _legend(figure, axes, len(groups))
    return figure


def against(groups: Sequence[Group], key: str, metrics: Sequence[str]) -> Figure | None:
    """Each metric against one swept value, a line for each combination of the other choices, bars over seeds."""
    shown = [metric for metric in metrics if any(one.estimate(metric) for one in groups)]
    if not shown:
        return None
    families: dict[str, list[Group]] = {}
    for one in groups:
        if key in one.choices:
            others = ", ".join(f"{short(k)}={v}" for k, v in one.choices.items() if k != key)
            families.setdefault(others, []).append(one)
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(1.25 * TEXT_WIDTH, 1.9 * rows + 0.3))
    table: Any = figure.subplots(rows, columns, squeeze=False)
    values = sorted({float(one.choices[key]) for family in families.values() for one in family})
    logarithmic = values[0] > 0 and values[-1] / values[0] > 20
    for axes, metric in zip(table.flat, shown, strict=False):
        for colour, (name, family) in zip(colours(len(families)), families.items(), strict=True):
            found = [(float(one.choices[key]), one.estimate(metric)) for one in family]
            line = sorted(((x, e) for x, e in found if e is not None), key=lambda pair: pair[0])
            if line:
                widths = [e.half_width or 0.0 for _, e in line]
                axes.errorbar(
                    [x for x, _ in line], [e.mean for _, e in line], widths, color=colour, marker="o", label=name
                )
        axes.set(title=label(metric), xlabel=short(key))
        if logarithmic:
            axes.set_xscale("log")
    for axes in table.flat[len(shown) :]:
        axes.remove()
    if len(families) > 1:
        _legend(figure, table.flat[0], len(families))
    return figure


def curves(groups: Sequence[Group]) -> Figure | None:
    """Validation ELBO, for lack of it distortion, of every run by epoch, in the colour of its group."""
    name = "val/elbo" if any("val/elbo" in row for one in groups for run in one.runs for row in run.history) else None
    name = name or "val/distortion"
    figure, axes = _single()
    drawn: list[float] = []
    for colour, one in zip(colours(len(groups)), groups, strict=True):
        for number, run in enumerate(one.runs):
            rows = [row for row in run.history if name in row and math.isfinite(row[name])]
            if any("train/elbo" in row for row in rows):
                rows = [row for row in rows if "train/elbo" in row]
            if rows:
                values = [row[name] for row in rows]
                axes.plot([r["epoch"] for r in rows], values, color=colour, label=one.name if number == 0 else None)
                drawn += values[len(values) // 10 :]
    if not drawn:
        return None
    margin = 0.05 * (max(drawn) - min(drawn) or 1.0)
    axes.set_ylim(min(drawn) - margin, max(drawn) + margin)
    axes.set(xlabel="epoch", ylabel=f"validation {label(name)}")
    _legend(figure, axes, len(groups))
    return figure


def bars(groups: Sequence[Group], metric: str, title: str) -> Figure | None:
    """One metric, a bar a group, with its interval over seeds."""
    found = [(one.name, one.estimate(metric)) for one in groups]
    kept = [(name, estimate) for name, estimate in found if estimate is not None]
    if not kept:
        return None
    figure = Figure(figsize=(TEXT_WIDTH, 0.8 + 0.2 * len(kept)))
    axes = figure.subplots()
    widths = [estimate.half_width or 0.0 for _, estimate in kept]
    axes.barh([name for name, _ in kept], [e.mean for _, e in kept], xerr=widths, color=LINES[0], height=0.7)
    axes.invert_yaxis()
    axes.set(xlabel=title)
    return figure


def label(metric: str) -> str:
    """A metric in words.

    >>> label("test/iw_log_likelihood"), label("test/elbo")
    ('IW log-likelihood (nats)', 'ELBO (nats)')
    """
    words = {
        "elbo": "ELBO (nats)",
        "iw_log_likelihood": "IW log-likelihood (nats)",
        "distortion": "distortion (nats)",
        "rate": "rate (nats)",
        "mutual_information": "mutual information (nats)",
        "aggregated_kl": "KL(q(z) || p(z)) (nats)",
        "mig": "MIG",
        "dci_disentanglement": "DCI disentanglement",
        "sap": "SAP",
    }
    name = metric.rpartition("/")[2]
    return words.get(name, name.replace("_", " "))


def _single() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(TEXT_WIDTH, 0.62 * TEXT_WIDTH))
    return figure, figure.subplots()


def _legend(figure: Figure, axes: Axes, count: int) -> None:
    if 1 < count <= NAMED:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2 if count > 3 else count)
