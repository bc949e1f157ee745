"""A plot, and the size, colours and legend of all plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from vae_cli.figures.style import LINES, TEXT_WIDTH

NAMED = 10
"""Most entries of a legend; with more, only the table of the page shows the colours."""

MANY = 40
"""Configurations from which on plots that grow with their number are left out, and lines are drawn as pixels."""

WIDTH, HEIGHT = 0.65 * TEXT_WIDTH, 0.47 * TEXT_WIDTH
"""Inches; about the width of a phone."""


@dataclass(frozen=True)
class Plot:
    """A figure, its name for a logger, its section of the page, and its title.

    Args:
        main: the page does not fold it
    """

    name: str
    section: str
    title: str
    figure: Figure
    main: bool = True


def colours(count: int) -> list[str]:
    """A colour for each group: distinct ones for few groups, shades for many, none too pale for a line."""
    if count <= len(LINES):
        return list(LINES[:count])
    return [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, 0.8, count))]


def single(names: Sequence[str]) -> tuple[Figure, Axes]:
    """A figure with one pair of axes and space for a legend of these names below it."""
    lines = sum(len(_lines(name)) for name in names) if 1 < len(names) <= NAMED else 0
    figure = Figure(figsize=(WIDTH, HEIGHT + 0.15 * lines))
    return figure, figure.subplots()


def legend(figure: Figure, axes: Axes, names: Sequence[str]) -> None:
    """Draw the legend below the axes, if there are two names or more and not too many."""
    if 1 < len(names) <= NAMED:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left")


def text(name: str) -> str:
    """A name for matplotlib: wrapped to the figure's width, dollar signs escaped."""
    return "\n".join(_lines(name)).replace("$", r"\$")


def _lines(name: str) -> list[str]:
    return wrap(name, 52)[:3]
