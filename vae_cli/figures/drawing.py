"""Drawing and saving the figures of a run, which changes neither the model nor any random stream."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from PIL.Image import Image

from vae_cli.distributed.progress import track
from vae_cli.evaluation.optional import optional
from vae_cli.figures.examples import MAX_IMAGES, Examples, Inputs, Points, observed
from vae_cli.figures.style import DPI, styled, write_png
from vae_cli.figures.views import VIEWS, View
from vae_cli.models.model import LatentVariableModel
from vae_cli.runs.atomic_files import write_atomically

if TYPE_CHECKING:
    from vae_cli.datasets import Data
    from vae_cli.datasets.split import SplitName

MAX_POINTS, MAX_POINTS_WHILE_TRAINING = 5000, 500
"""Examples that the figures of a finished run and the images during training are drawn from."""
WRITERS = {
    "png": write_png,
    "pdf": lambda figure, file: figure.savefig(file, format="pdf", dpi=DPI, metadata={"CreationDate": None}),
    "svg": lambda figure, file: figure.savefig(file, format="svg", dpi=DPI, metadata={"Date": None}),
}
"""Functions by the type of the file; without times, so that equal figures are equal files."""


def draw(
    model: LatentVariableModel, data: Data, device: torch.device, *, history: Sequence[dict[str, float]], seed: int
) -> dict[str, Figure]:
    """All figures of VIEWS that apply, by name. A figure that fails is left out with a warning.

    Args:
        history: rows of metrics.csv
        seed: of all draws and embeddings
    """
    points = None
    with styled(), observed(model, device, seed):
        with optional("figures of the test data"):
            points = collect(model, data, "test", device, MAX_POINTS)
        return _drawn(VIEWS, Inputs(model, points, history, seed))


def snapshots(model: LatentVariableModel, data: Data, device: torch.device, seed: int) -> dict[str, Image]:
    """Images of VIEWS for a logger during training: of validation examples, and always of the same draws."""
    found, count = {}, MAX_IMAGES if len(data.event_shape) == 3 else MAX_POINTS_WHILE_TRAINING
    with styled(), observed(model, device, seed), optional("images for the logger"):
        points = collect(model, data, "val" if len(data.val) else "train", device, count)
        inputs = Inputs(model, points, (), seed)
        for view in VIEWS:
            if view.snapshot and view.suits(inputs):
                with observed(model, device, seed):
                    found[view.name] = view.snapshot(inputs)
    return found


def save(figures: dict[str, Figure], folder: Path, kinds: Sequence[str] = ("png", "pdf")) -> None:
    """Write each figure as NAME.KIND (200 dpi) atomically."""
    with styled(), optional("figures"):
        folder.mkdir(exist_ok=True)
        for name, figure in track(list(figures.items()), "writing the figures"):
            with optional(f"figure {name}"):
                for kind in kinds:
                    write_atomically(folder / f"{name}.{kind}", partial(WRITERS[kind], figure))


def collect(model: LatentVariableModel, data: Data, split: SplitName, device: torch.device, count: int) -> Points:
    """Encoded examples of a model that infers z, else points alone."""
    kind = Examples if model.infers else Points
    return kind.collect(model, data, split, device, count)


def _drawn(views: Sequence[View], inputs: Inputs) -> dict[str, Figure]:
    """The figures that apply and that have something to show."""
    figures = {}
    for view in track(views, "figures"):
        with optional(f"figure {view.name}"):
            if view.suits(inputs) and (figure := view.draw(inputs)):
                figures[view.name] = figure
    return figures
