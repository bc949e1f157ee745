"""Figures of a mixture prior: samples of its components, and their test points."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import MixtureSameFamily

from vae_cli.errors import counted
from vae_cli.evaluation.metrics.clusters import contingency
from vae_cli.evaluation.umap_embedding import umap_embedding
from vae_cli.figures import images
from vae_cli.figures.examples import Inputs, decoded
from vae_cli.figures.latents import coloured
from vae_cli.figures.plane import Plane
from vae_cli.figures.style import TEXT_WIDTH, class_text

SAMPLES = 10
"""Samples of each component."""
FEW = 50
"""Fewer points than this are not embedded."""
SHOWN = 30
"""Components at most, those of largest weight."""


def component_means(inputs: Inputs) -> Figure:
    """E[x|mu_c] of each component, of vectors as a heat map."""
    prior, examples = inputs.mixture, inputs.examples
    order, names = _largest(prior)
    x = decoded(inputs.model, prior.component_distribution.mean[order])
    return images.rows(x, ["mean"], examples, names) if examples.is_image else _heat_map(x, names)


def component_samples(inputs: Inputs) -> Figure:
    """A row of p(x|z) means, z ~ p(z|c), of each component of images."""
    prior = inputs.mixture
    order, names = _largest(prior)
    draws = prior.component_distribution.sample(torch.Size((SAMPLES,)))[:, order].movedim(0, 1)
    return images.rows(decoded(inputs.model, draws.flatten(0, 1)), names, inputs.examples)


def _largest(prior: MixtureSameFamily) -> tuple[Tensor, list[str]]:
    """The components of largest weight, in order, and their names."""
    weights = prior.mixture_distribution.probs
    order = weights.argsort(descending=True, stable=True)[:SHOWN].sort().values
    return order, [f"{c} ({weights[c]:.0%})" for c in order.tolist()]


def _heat_map(x: Tensor, names: list[str]) -> Figure:
    """E[x|mu_c] for x (K, D): a row a component, a column a variable."""
    figure = Figure(figsize=(TEXT_WIDTH, 0.8 + 0.18 * len(names)))
    axes = figure.subplots()
    limit = float(x.abs().max())
    shown = axes.imshow(x.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="variable", ylabel="component (weight)")
    figure.colorbar(shown, ax=axes, label="mean of x at the component's mean")
    return figure


def confusion(inputs: Inputs) -> Figure:
    """Share of each label in each component; components are in the order that matches labels best."""
    from scipy.optimize import linear_sum_assignment

    examples = inputs.examples
    assert examples.y is not None and examples.clusters is not None
    counts = contingency(examples.clusters.numpy(), examples.y.numpy()).T
    rows, columns = linear_sum_assignment(counts, maximize=True)
    order = [*columns, *sorted(set(range(counts.shape[1])) - set(columns.tolist()))]
    shares = counts[:, order] / counts.sum(1, keepdims=True)
    size = min(0.5 * TEXT_WIDTH + 0.12 * max(counts.shape), 1.5 * TEXT_WIDTH)
    figure = Figure(figsize=(size, size * 0.85))
    axes = figure.subplots()
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    figure.colorbar(shown, ax=axes, label="share of the label")
    if max(counts.shape) <= SHOWN:
        axes.set_xticks(range(len(order)), [str(c) for c in order])
        axes.set_yticks(range(len(counts)), [class_text(y, examples.class_names) for y in np.unique(examples.y)])
    axes.set(xlabel="component", ylabel="label")
    axes.spines[:].set_visible(False)
    if max(counts.shape) <= SHOWN // 2:
        for i, j in np.argwhere(shares >= 0.005):
            colour = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center", color=colour, fontsize=6)
    accuracy = counts[rows, columns].sum() / counts.sum()
    axes.set_title(
        f"percent of each label; accuracy {accuracy:.1%} of these {counted(int(counts.sum()), 'test point')}"
    )
    return figure


def latent_scatter(inputs: Inputs) -> Figure:
    """Posterior means of test points in the plane, coloured by component and, where known, by label."""
    examples = inputs.examples
    assert examples.clusters is not None
    points, labels = _flat(examples.means.cpu(), inputs.seed)
    panels = {"component": examples.clusters.numpy()}
    if examples.y is not None:
        panels["label"] = examples.y.numpy()
    figure = Figure(figsize=(TEXT_WIDTH * len(panels) / 2 + 1, 0.5 * TEXT_WIDTH))
    row: Any = figure.subplots(1, len(panels), squeeze=False)
    for axes, (title, groups) in zip(row[0], panels.items(), strict=True):
        coloured(axes, points, groups, title, examples.class_names if title == "label" else None)
        axes.set(title=f"by {title}", xlabel=labels[0], ylabel=labels[1])
        _bare(axes)
    return figure


def _flat(points: Tensor, seed: int) -> tuple[NDArray[np.floating], list[str]]:
    """Coordinates (N, 2) and their names: z itself for d <= 2, a UMAP embedding otherwise."""
    if points.shape[1] <= 2 or len(points) < FEW:
        plane = Plane(points, "z")
        flat = plane(points)
        return (flat, plane.labels) if flat.shape[1] == 2 else (np.c_[flat, np.zeros_like(flat)], [*plane.labels, ""])
    return umap_embedding(points.numpy(), 2, 20, 0.1, seed), ["UMAP 1", "UMAP 2"]


def _bare(axes: Axes) -> None:
    """Remove the ticks, which mean nothing in an embedding."""
    axes.set_xticks([])
    axes.set_yticks([])
