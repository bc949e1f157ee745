"""Figures of models of images (C, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from vae_cli.figures.examples import Inputs, Points, Traversal, decoded
from vae_cli.figures.style import TEXT_WIDTH
from vae_cli.figures.tiles import gap, grid, image
from vae_cli.models.model import LatentVariableModel

COLUMNS = 10


def reconstructions(inputs: Inputs) -> Figure:
    """Test images x in one row, in the row below the means of p(x|z) at their posterior means z."""
    examples, (columns, pairs) = inputs.examples, _pairs(inputs)
    figure = _figure(examples.x, 2 * len(pairs), columns)
    stacked: Any = figure.subplots(len(pairs), 1, squeeze=False)
    for axes, pair in zip(stacked[:, 0], pairs, strict=True):
        _show(axes, _unit(torch.cat(pair), examples), columns)
        axes.set_yticks(_centres(2, *examples.x.shape[-2:]), ["original", "reconstruction"])
    return figure


def reconstruction_grid(inputs: Inputs) -> Image:
    """Rows of examples x, below each row the means of p(x|z) at their posterior means z."""
    columns, pairs = _pairs(inputs)
    return image(_unit(torch.cat([half for pair in pairs for half in pair]), inputs.examples), columns)


def _pairs(inputs: Inputs) -> tuple[int, list[tuple[Tensor, Tensor]]]:
    """The length of full rows, and for each row its examples x and the means of p(x|z) at their posterior means."""
    examples = inputs.examples
    columns = min(COLUMNS, len(examples.x))
    count = len(examples.x) // columns * columns
    x, means = examples.x[:count], decoded(inputs.model, examples.means[:count])
    return columns, list(zip(x.split(columns), means.split(columns), strict=True))


def samples(inputs: Inputs) -> Figure:
    """Means of p(x|z) at draws z ~ p(z)."""
    x = _sampled(inputs.model)
    figure = _figure(x, COLUMNS, COLUMNS)
    figure.set_layout_engine("none")  # nothing stands beside the grid
    _show(figure.add_axes((0.01, 0.01, 0.98, 0.98)), _unit(x, inputs.points), COLUMNS)
    return figure


def sample_grid(inputs: Inputs) -> Image:
    """The content of `samples` alone."""
    return image(_unit(_sampled(inputs.model), inputs.points), COLUMNS)


def _sampled(model: LatentVariableModel) -> Tensor:
    """Means of p(x|z) at COLUMNS^2 draws z ~ p(z)."""
    return model.likelihood.original(torch.cat([model.sample(COLUMNS).float().cpu() for _ in range(COLUMNS)]))


def traversals(inputs: Inputs) -> Figure:
    """Means of p(x|z) along one dimension of z a row, the others at one test image's posterior mean."""
    examples = inputs.examples
    path = Traversal.of(inputs.model, examples, rows=10, columns=13)
    x = path.decoded(inputs.model)
    rows, columns, _, height, width = x.shape
    figure = _figure(x[0], rows, columns, below=0.4)
    axes = figure.subplots()
    _show(axes, _unit(x.flatten(0, 1), examples), columns)
    axes.set_yticks(_centres(rows, height, width), [f"$z_{{{j + 1}}}$" for j in path.dims])
    axes.set_xticks(
        _centres(columns, width, width)[::2], [f"{step:.0f}".replace("-", "\N{MINUS SIGN}") for step in path.steps[::2]]
    )
    axes.set_xlabel("value in standard deviations of the prior")
    return figure


def rows(x: Tensor, names: list[str], examples: Points, columns: list[str] | None = None) -> Figure:
    """Images x (R K, C, H, W) in R rows of these names, under them the names of the columns."""
    across, (height, width) = len(x) // len(names), x.shape[-2:]
    figure = _figure(x, len(names), across, below=0.3 if columns else 0.0)
    axes = figure.subplots()
    _show(axes, _unit(x, examples), across)
    axes.set_yticks(_centres(len(names), height, width), names)
    if columns:
        axes.set_xticks(_centres(across, width, width), columns)
    return figure


def _figure(x: Tensor, rows: int, columns: int, below: float = 0.0) -> Figure:
    """A figure of the text's width for a grid of images x (N, C, H, W), with so many inches below it."""
    height, width = x.shape[-2:]
    return Figure(figsize=(TEXT_WIDTH, TEXT_WIDTH * rows * height / (columns * width) + below))


def _unit(x: Tensor, examples: Points) -> Tensor:
    """Values to show: those of the real line scaled by the range of the examples; the others are in [0, 1] already."""
    if examples.domain != "real":
        return x
    low, high = examples.x.aminmax()
    return (x - low) / (high - low).clamp(min=1e-12)


def _show(axes: Axes, x: Tensor, columns: int) -> None:
    axes.imshow(grid(x, columns), cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _centres(count: int, size: int, width: int) -> NDArray[np.floating]:
    """Centres of `count` tiles along an axis, each of length `size`."""
    return np.arange(count) * (size + gap(width)) + (size - 1) / 2
