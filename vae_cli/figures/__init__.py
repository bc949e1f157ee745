"""Figures of a run, as they would stand in a paper. Drawing one changes neither the model nor any random stream."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure

from vae_cli.figures import clusters, images, vectors
from vae_cli.figures.codes import code_usage
from vae_cli.figures.curves import training_curves
from vae_cli.figures.examples import Examples, Points, observed
from vae_cli.figures.latents import latent_space
from vae_cli.figures.style import styled
from vae_cli.figures.tiles import grid, save_grid
from vae_cli.files import write_atomically
from vae_cli.mixtures import is_mixture
from vae_cli.models import VAE

if TYPE_CHECKING:
    from vae_cli.datasets import Data
    from vae_cli.datasets.split import SplitName

__all__ = ["draw", "grid", "panels", "save", "save_grid"]

ALL, FEW = 5000, 500
"""Test points encoded for a finished run's figures, and for those drawn while it trains."""


def draw(
    model: VAE, data: Data, device: torch.device, *, history: Sequence[dict[str, float]], seed: int
) -> dict[str, Figure]:
    """All figures by name: reconstructions, samples, traversals, latent_space; training_curves where `history` has any.

    Of codes code_usage in place of traversals and latent_space, since they have no directions; without an encoder
    samples and training_curves alone. Of a mixture prior also component_means, of images component_samples, clusters,
    and confusion where there are labels. `density` too for vectors whose exact distribution is known. `history` has a
    row of metrics.csv each.
    """
    with styled(), observed(model, device, seed):
        points = _gathered(model, data, "test", device, ALL)
        figures = _views(model, points)
        if data.exact is not None and not points.is_image and points.x.shape[1] > 1:
            figures["density"] = vectors.density(model, points)
        if isinstance(points, Examples):
            figures |= _codes(model, points, seed)
        curves = training_curves(history)
    return figures | ({"training_curves": curves} if curves else {})


def panels(model: VAE, data: Data, device: torch.device, seed: int) -> dict[str, Figure]:
    """The cheap ones, for a logger: reconstructions, samples, traversals where there are any."""
    with styled(), observed(model, device, seed):
        return _views(model, _gathered(model, data, "val" if len(data.val) else "train", device, FEW))


def save(figures: dict[str, Figure], folder: Path) -> None:
    """Write each figure as NAME.png (200 dpi) and NAME.pdf, whole files only, and empty it."""
    folder.mkdir(exist_ok=True)
    with styled():
        for name, figure in figures.items():
            for kind, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
                write = partial(figure.savefig, format=kind, dpi=200, metadata=metadata)
                write_atomically(folder / f"{name}.{kind}", write)
            figure.clear()


def _gathered(model: VAE, data: Data, split: SplitName, device: torch.device, count: int) -> Points:
    """Examples with their codes where there is an encoder, else the points alone."""
    if model.infers:
        return Examples.gather(model, data, split, device, count)
    return Points.collect(data, split, device, count)


def _views(model: VAE, points: Points) -> dict[str, Figure]:
    """Those that a logger gets while training goes on."""
    kind = images if points.is_image else vectors
    figures = {"samples": kind.samples(model, points)}
    if not isinstance(points, Examples):
        return figures
    figures["reconstructions"] = kind.reconstructions(model, points)
    if points.counts is None:
        figures["traversals"] = kind.traversals(model, points)
    prior = model.prior()
    return figures | (clusters.components(model, prior, points) if is_mixture(prior) else {})


def _codes(model: VAE, examples: Examples, seed: int) -> dict[str, Figure]:
    """Those of the latent space."""
    if examples.counts is None:
        figures = {"latent_space": latent_space(model, examples)}
    else:
        figures = {"code_usage": code_usage(examples.counts)}
    if examples.clusters is not None:
        figures["clusters"] = clusters.codes(examples, seed)
        if examples.y is not None:
            figures["confusion"] = clusters.confusion(examples)
    return figures
