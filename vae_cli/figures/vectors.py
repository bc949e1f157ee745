"""Figures of models of vectors (D,): tables, synthetic densities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from vae_cli.figures.examples import Inputs, Points, Traversal, decoded
from vae_cli.figures.plane import Plane
from vae_cli.figures.style import BLUE, GREY, LINES, TEXT_WIDTH
from vae_cli.models.model import LatentVariableModel

Cloud = NDArray[np.floating]
VARIABLES = 12
"""Variables with a panel; of more variables, those of largest variance."""


def reconstructions(inputs: Inputs) -> Figure:
    """Each variable's mean under p(x|z) at the posterior mean z, against its value in the test example."""
    x, means = inputs.examples.x, decoded(inputs.model, inputs.examples.means)
    chosen = x.var(0, unbiased=False).argsort(descending=True, stable=True)[:VARIABLES].sort().values.tolist()
    figure, panels = _panels(len(chosen), columns=4)
    for axes, j in zip(panels, chosen, strict=True):
        low, high = x[:, j].aminmax()
        axes.plot([low, high], [low, high], color=GREY, linewidth=0.6)
        axes.scatter(x[:, j], means[:, j], s=4, color=BLUE, alpha=0.4, linewidths=0, rasterized=True)
        explained = _explained(x[:, j], means[:, j])
        axes.set_title(f"$x_{{{j + 1}}}$" + (f"  ($R^2 = {explained:.2f}$)" if explained is not None else ""))
    figure.supxlabel("original")
    figure.supylabel("reconstruction")
    return figure


def samples(inputs: Inputs) -> Figure:
    """Test data beside as many draws x ~ p(x|z), z ~ p(z): the draws, unlike means, follow the model."""
    figure, panels, clouds, edges = _beside(inputs.model, inputs.points)
    for axes, points in zip(panels, clouds, strict=True):
        if len(edges) == 1:
            axes.hist(points[:, 0], edges[0].tolist(), color=BLUE)
        else:
            axes.scatter(*points.T, s=4, color=BLUE, alpha=0.4, linewidths=0, rasterized=True)
            axes.set(xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
    return figure


def density(inputs: Inputs) -> Figure:
    """Histograms on a grid: counts of test data and of as many draws from the model, on one scale."""
    figure, panels, clouds, edges = _beside(inputs.model, inputs.points)
    counts = [np.histogram2d(points[:, 0], points[:, 1], edges)[0].T for points in clouds]
    norm = LogNorm(1, max(2, *(count.max() for count in counts)))
    for axes, count in zip(panels, counts, strict=True):
        axes.pcolormesh(*edges, np.ma.masked_equal(count, 0), norm=norm, cmap="viridis", rasterized=True)
    figure.colorbar(ScalarMappable(norm, "viridis"), ax=panels, label="points")
    return figure


def traversals(inputs: Inputs) -> Figure:
    """Mean of p(x|z) against one dimension of z in each panel: the variables that change most, standardised."""
    model, examples = inputs.model, inputs.examples
    path = Traversal.of(model, examples, rows=10, columns=41)
    scale = examples.x.std(0, unbiased=False)
    scale = torch.where(scale > 0, scale, 1.0)
    x = (path.decoded(model) - examples.x.mean(0)) / scale
    moving = (x.amax(1) - x.amin(1)).amax(0).argsort(descending=True, stable=True)[: len(LINES)].sort().values.tolist()
    figure, panels = _panels(len(path.dims), columns=5, shared=True)
    for axes, j, answers in zip(panels, path.dims, x, strict=True):
        for colour, variable in zip(LINES, moving, strict=False):
            axes.plot(path.steps, answers[:, variable], color=colour, label=f"$x_{{{variable + 1}}}$")
        axes.set_title(f"$z_{{{j + 1}}}$")
        axes.set_xticks([-3, 0, 3])
    figure.supxlabel("value in standard deviations of the prior")
    figure.supylabel("standardised mean of x")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def draws(model: LatentVariableModel, count: int) -> Tensor:
    """x ~ p(x|z), z ~ p(z), (count, D); E[x|z] for a model without an encoder, whose training sees means alone."""
    z = model.prior().sample(torch.Size((count,)))
    decoded = (model.decode(part[None]) for part in z.split(250))
    x = torch.cat([(p.sample() if model.infers else p.mean)[0].float().cpu() for p in decoded])
    return model.likelihood.original(x)


def _beside(model: LatentVariableModel, examples: Points) -> tuple[Figure, list[Axes], list[Cloud], list[Cloud]]:
    """Axes of one scale for test data and for draws from the model, both clouds in a plane, and bins along its axes.

    The frame fits the data; a title states the share of draws outside. For a model of standardised columns the
    principal components are those of standardised columns, because else the smallest unit dominates them.
    """
    x, drawn = examples.x, draws(model, len(examples.x))
    if (units := model.likelihood.standardisation) and x.shape[1] > 2:
        x, drawn = units.standardise(x), units.standardise(drawn)
    plane = Plane(x, "x")
    clouds = [plane(x), plane(drawn[drawn.isfinite().all(1)])]
    edges = [_edges(values) for values in clouds[0].T]
    inside = [(bins[0] <= values) & (values <= bins[-1]) for bins, values in zip(edges, clouds[1].T, strict=True)]
    beyond = 1 - np.all(inside, axis=0).sum() / len(x)
    figure = Figure(figsize=(TEXT_WIDTH, 0.5 * TEXT_WIDTH))
    panels: Any = figure.subplots(1, 2, sharex=True, sharey=True)
    titles = "data", f"model ({beyond:.1%} outside the frame)" if beyond else "model"
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title)
    figure.supxlabel(plane.labels[0])
    figure.supylabel(plane.labels[1] if len(edges) > 1 else "points")
    return figure, list(panels), clouds, edges


def _edges(values: Cloud) -> Cloud:
    """Forty bins over the range of the data, and ten beyond it on either side."""
    low, high = np.histogram_bin_edges(values, 1)
    return np.linspace(low - (high - low) / 4, high + (high - low) / 4, 61)


def _explained(x: Tensor, means: Tensor) -> float | None:
    """R^2, the share of the variance of x that its reconstruction explains; None for a constant x."""
    variance = x.var(unbiased=False)
    return float(1 - (x - means).square().mean() / variance) if variance > 0 else None


def _panels(count: int, columns: int, shared: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of the text's width with `count` small axes."""
    rows = math.ceil(count / columns)
    columns = math.ceil(count / rows)
    figure = Figure(figsize=(TEXT_WIDTH, max(2.0, 1.3 * rows + 0.4)))
    table: Any = figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False)
    for axes in table.flat[count:]:
        axes.remove()
    for axes in table.flat[max(0, count - columns) : count]:
        axes.tick_params(labelbottom=True)  # also above a gap in the last row
    return figure, list(table.flat[:count])
