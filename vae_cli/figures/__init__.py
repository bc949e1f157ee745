"""Figures of a run, as they would stand in a paper. Drawing one changes neither the model nor any random stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure

from vae_cli.distributions.mixtures import is_mixture
from vae_cli.evaluation.optional import optional
from vae_cli.figures import clusters, images, vectors
from vae_cli.figures.codes import code_usage
from vae_cli.figures.curves import training_curves
from vae_cli.figures.examples import Examples, Points, observed
from vae_cli.figures.latents import latent_space
from vae_cli.figures.style import styled
from vae_cli.figures.tiles import grid, save_grid
from vae_cli.models.model import LatentVariableModel
from vae_cli.runs.atomic_files import write_atomically

if TYPE_CHECKING:
    from vae_cli.datasets import Data
    from vae_cli.datasets.split import SplitName

__all__ = ["draw", "grid", "panels", "save", "save_grid"]

ALL, FEW = 5000, 500
"""Test points encoded for a finished run's figures, and for those drawn while it trains."""


Drawings = dict[str, Callable[[], Figure | None]]
"""What draws each figure, by its name."""


def draw(
    model: LatentVariableModel, data: Data, device: torch.device, *, history: Sequence[dict[str, float]], seed: int
) -> dict[str, Figure]:
    """All figures by name: reconstructions, samples, traversals, latent_space; training_curves where `history` has any.

    Of codes code_usage in place of traversals and latent_space, since they have no directions; without an encoder
    samples and training_curves alone. Of a mixture prior also component_means, of images component_samples, clusters,
    and confusion where there are labels. `density` too for vectors whose exact distribution is known. `history` has a
    row of metrics.csv each. A figure that cannot be drawn is left out.
    """
    figures: dict[str, Figure] = {}
    with styled(), observed(model, device, seed):
        with optional("figures of the test data"):
            points = _gathered(model, data, "test", device, ALL)
            drawings = _views(model, points)
            if data.exact is not None and not points.is_image and points.x.shape[1] > 1:
                drawings["density"] = partial(vectors.density, model, points)
            if isinstance(points, Examples):
                drawings |= _codes(model, points, seed)
            figures = _drawn(drawings)
        return figures | _drawn({"training_curves": partial(training_curves, history)})


def panels(model: LatentVariableModel, data: Data, device: torch.device, seed: int) -> dict[str, Figure]:
    """The cheap ones, for a logger: reconstructions, samples, traversals where there are any."""
    with styled(), observed(model, device, seed), optional("figures"):
        return _drawn(_views(model, _gathered(model, data, "val" if len(data.val) else "train", device, FEW)))
    return {}


def save(figures: dict[str, Figure], folder: Path) -> None:
    """Write each figure as NAME.png (200 dpi) and NAME.pdf, whole files only, and empty it."""
    with styled(), optional("figures"):
        folder.mkdir(exist_ok=True)
        for name, figure in figures.items():
            with optional(f"figure {name}"):
                for kind, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
                    write = partial(figure.savefig, format=kind, dpi=200, metadata=metadata)
                    write_atomically(folder / f"{name}.{kind}", write)
                figure.clear()


def _drawn(drawings: Drawings) -> dict[str, Figure]:
    """The figures, without those that have nothing to show or fail."""
    figures = {}
    for name, drawing in drawings.items():
        with optional(f"figure {name}"):
            if figure := drawing():
                figures[name] = figure
    return figures


def _gathered(model: LatentVariableModel, data: Data, split: SplitName, device: torch.device, count: int) -> Points:
    """Examples with their codes where there is an encoder, else the points alone."""
    if model.infers:
        return Examples.gather(model, data, split, device, count)
    return Points.collect(data, split, device, count)


def _views(model: LatentVariableModel, points: Points) -> Drawings:
    """Those that a logger gets while training goes on."""
    kind = images if points.is_image else vectors
    drawings: Drawings = {"samples": partial(kind.samples, model, points)}
    if not isinstance(points, Examples):
        return drawings
    drawings["reconstructions"] = partial(kind.reconstructions, model, points)
    if points.counts is None:
        drawings["traversals"] = partial(kind.traversals, model, points)
    if is_mixture(prior := model.prior()):
        if points.is_image:
            drawings["component_samples"] = partial(clusters.component_samples, model, prior, points)
        drawings["component_means"] = partial(clusters.component_means, model, prior, points)
    return drawings


def _codes(model: LatentVariableModel, examples: Examples, seed: int) -> Drawings:
    """Those of the latent space."""
    drawings: Drawings
    if examples.counts is None:
        drawings = {"latent_space": partial(latent_space, model, examples)}
    else:
        drawings = {"code_usage": partial(code_usage, examples.counts)}
    if examples.clusters is not None:
        drawings["clusters"] = partial(clusters.codes, examples, seed)
        if examples.y is not None:
            drawings["confusion"] = partial(clusters.confusion, examples)
    return drawings
