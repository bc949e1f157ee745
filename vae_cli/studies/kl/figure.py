"""Figure of a direction of KL: the target with the fitted Gaussians, and the loss with its minima."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator
from scipy.integrate import trapezoid
from scipy.stats import norm

from vae_cli.figures.style import GREY, LINES, TEXT_WIDTH, styled
from vae_cli.studies.kl.directions import Direction
from vae_cli.studies.kl.minima import Minimum
from vae_cli.studies.kl.targets import Target

LEVELS = 18
"""Contours of the loss, denser near its minimum."""


def draw(direction: Direction, found: Sequence[Minimum]) -> Figure:
    """Densities on the left, the loss over (m, s) on the right."""
    with styled():
        figure = Figure(figsize=(TEXT_WIDTH, 0.42 * TEXT_WIDTH))
        left, right = figure.subplots(1, 2)
        _densities(left, direction.target, found)
        _surface(right, direction, found)
        right.set_title(f"{_symbols(direction.loss_name)}, nats")
    return figure


def _densities(axes: Axes, target: Target, found: Sequence[Minimum]) -> None:
    low, high = target.span()
    margin = 0.05 * (high - low)
    x = np.linspace(low - margin, high + margin, 500)
    if target.has_density:
        p = target.log_prob(torch.from_numpy(x)).exp().numpy()
        area = 1.0 if target.normalised else trapezoid(p, x)
        axes.fill_between(x, p / area, color=GREY, alpha=0.3, linewidth=0, label="$p(x)$")
    else:
        axes.hist(target.draws().numpy(), bins="auto", density=True, color=GREY, alpha=0.3, label="draws of $p$")
    for number, (minimum, colour) in enumerate(zip(found, _colours(found), strict=True), 1):
        axes.plot(x, norm.pdf(x, minimum.mean, minimum.scale), color=colour, label=f"$q_{{{number}}}(x)$")
    axes.set(xlabel="$x$", xlim=(x[0], x[-1]), ylim=(0, None))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, handlelength=1, columnspacing=1, borderaxespad=0.2)


def _surface(axes: Axes, direction: Direction, found: Sequence[Minimum]) -> None:
    low, high = direction.target.span()
    means = torch.linspace(low, high, 160, dtype=torch.float64)
    scales = [minimum.scale for minimum in found]
    logs = torch.linspace(math.log(min(scales) / 3), math.log(3 * max(scales)), 120, dtype=torch.float64)
    losses = torch.stack([direction.loss(means, log.expand_as(means)) for log in logs]).numpy()
    lowest, typical = min(minimum.loss for minimum in found), float(np.median(losses))
    levels = lowest + max(typical - lowest, 1e-6) * np.linspace(0, 1, LEVELS) ** 2
    drawn: Any = axes.contourf(means, logs.exp(), losses, levels=levels, cmap="Blues_r", extend="max")
    axes.contour(means, logs.exp(), losses, levels=levels, colors="white", linewidths=0.3)
    for number, (minimum, colour) in enumerate(zip(found, _colours(found), strict=True), 1):
        axes.plot(minimum.mean, minimum.scale, "o", color=colour, markeredgecolor="white", markersize=5)
        label = axes.annotate(f"$q_{{{number}}}$", (minimum.mean, minimum.scale), (5, 4), textcoords="offset points")
        label.set_path_effects([withStroke(linewidth=2, foreground="white")])
    axes.set(xlabel="$m$", ylabel="$s$", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.figure.colorbar(drawn, ax=axes, format="%.2g")


def _colours(found: Sequence[Minimum]) -> list[str]:
    return [LINES[number % len(LINES)] for number in range(len(found))]


def _symbols(name: str) -> str:
    """The name of a loss in mathtext."""
    symbols = {"KL": r"\mathrm{KL}", "||": r"\Vert", "log": r"\log\,", "constant": r"\mathrm{constant}"}
    for word, symbol in symbols.items():
        name = name.replace(word, symbol)
    return f"${name}$"
