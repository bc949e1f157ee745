"""The latent space: posterior means of test points, and the use of a codebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.errors import counted
from vae_cli.figures.examples import Inputs
from vae_cli.figures.plane import Plane
from vae_cli.figures.style import BLUE, CLASSES, GREY, TEXT_WIDTH, class_text
from vae_cli.models.codebooks import Usage

LEGIBLE = 20
"""Classes that a legend names; for more there is a colour bar."""


DOTS: dict[str, Any] = {"s": 4, "alpha": 0.7, "linewidths": 0, "rasterized": True}


def latent_space(inputs: Inputs) -> Figure:
    """Posterior means of test points, coloured by label; for d = 1 instead the densities of q(z) and of p(z)."""
    examples = inputs.examples
    means = examples.means.cpu()
    labels = None if examples.y is None else examples.y.numpy()
    plane = Plane(means, "z")
    figure = Figure(figsize=(0.8 * TEXT_WIDTH, 0.64 * TEXT_WIDTH))
    axes = figure.subplots()
    if means.shape[1] == 1:
        _densities(axes, inputs.model.prior(), examples.draws[:, 0], labels, examples.class_names)
        axes.set(xlabel="$z$", ylabel="density")
    else:
        _scatter(axes, plane(means), labels, examples.class_names)
        axes.set(xlabel=plane.labels[0], ylabel=plane.labels[1])
        axes.set_aspect("equal", adjustable="datalim")
    return figure


def _scatter(
    axes: Axes, points: NDArray[np.floating], labels: NDArray[np.int64] | None, names: Sequence[str] | None
) -> None:
    if labels is None:
        axes.scatter(*points.T, color=BLUE, **DOTS)
        return
    coloured(axes, points, labels, "label", names)


def coloured(
    axes: Axes,
    points: NDArray[np.floating],
    groups: NDArray[np.int64],
    title: str,
    names: Sequence[str] | None = None,
) -> None:
    """Points (N, 2) in the colours of their groups (N,), with a legend, or a colour bar for many groups."""
    classes, member = np.unique(groups, return_inverse=True)
    if len(classes) > LEGIBLE:
        shown = axes.scatter(*points.T, c=groups, cmap="viridis", **DOTS)
        bar = axes.figure.colorbar(ScalarMappable(shown.norm, "viridis"), ax=axes, label=title)
        bar.locator = MaxNLocator(integer=True)
        bar.formatter = FuncFormatter(lambda label, _: class_text(round(label), names) if label in classes else "")
        bar.update_ticks()
        return
    colours = _colours(len(classes))
    axes.scatter(*points.T, color=[colours[k] for k in member], **DOTS)  # one call, so that no class covers another
    _legend(axes, colours, [class_text(one, names) for one in classes], title)


def _densities(
    axes: Axes, prior: Distribution, draws: Tensor, labels: NDArray[np.int64] | None, names: Sequence[str] | None
) -> None:
    """Histogram of z ~ q(z|x) of all points, stacked by label, and the curve of p(z)."""
    values = draws.cpu().numpy()
    edges = np.histogram_bin_edges(values, 50).tolist()
    classes = np.unique([] if labels is None else labels)
    if labels is None or len(classes) > LEGIBLE:
        axes.hist(values, edges, density=True, color=BLUE)
    else:
        colours = _colours(len(classes))
        axes.hist([values[labels == one] for one in classes], edges, density=True, stacked=True, color=colours)
        _legend(axes, colours, [class_text(one, names) for one in classes], "label")
    grid = torch.linspace(min(-4.0, edges[0]), max(4.0, edges[-1]), 401, device=draws.device)
    density = prior.log_prob(grid.unsqueeze(-1)).exp().cpu()
    axes.plot(grid.cpu(), density, color="black", linestyle="--")
    axes.set_ylim(top=1.15 * max(axes.get_ylim()[1], float(density.max())))
    peak = int(density.argmax())
    axes.annotate("$p(z)$", (float(grid[peak]), float(density[peak])), (0, 3), textcoords="offset points", ha="center")


def _colours(count: int) -> list[str]:
    if count <= len(CLASSES):
        return list(CLASSES[:count])
    return [to_hex(colour) for colour in colormaps["tab20"](np.arange(count))]


def _legend(axes: Axes, colours: list[str], texts: list[str], title: str) -> None:
    marks = [Line2D([], [], marker="o", linestyle="", color=colour) for colour in colours]
    axes.legend(marks, texts, title=title, loc="center left", bbox_to_anchor=(1, 0.5))


def code_usage(inputs: Inputs) -> Figure:
    """Share of each of K codes, the largest first, and 1/K as a line."""
    counts = inputs.examples.code_counts
    assert counts is not None
    codes, usage = len(counts), Usage.of(counts)
    shares = (counts / counts.sum()).sort(descending=True).values
    figure = Figure(figsize=(TEXT_WIDTH, 0.36 * TEXT_WIDTH))
    axes = figure.subplots()
    axes.bar(range(1, codes + 1), shares.numpy(), width=1.0, color=BLUE)
    axes.axhline(1 / codes, color=GREY, linewidth=0.5, linestyle=":")
    axes.margins(x=0)
    axes.set(xlabel="code, by share", ylabel="share")
    axes.set_title(f"perplexity {usage.perplexity:.1f} of {counted(codes, 'code')}; {usage.usage:.0%} in use")
    return figure
