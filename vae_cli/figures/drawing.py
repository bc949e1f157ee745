"""Drawing and saving the figures of a run, which changes neither the model nor any random stream."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure

from vae_cli.distributed.progress import track
from vae_cli.evaluation.optional import optional
from vae_cli.figures.examples import Examples, Inputs, Points, observed
from vae_cli.figures.style import styled
from vae_cli.figures.views import VIEWS, View
from vae_cli.models.model import LatentVariableModel
from vae_cli.runs.atomic_files import write_atomically

if TYPE_CHECKING:
    from vae_cli.datasets import Data
    from vae_cli.datasets.split import SplitName

MAX_POINTS, MAX_POINTS_WHILE_TRAINING = 5000, 500
"""Examples that the figures of a finished run and those of a logger are drawn from."""


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


def panels(model: LatentVariableModel, data: Data, device: torch.device, seed: int) -> dict[str, Figure]:
    """The figures of VIEWS that a logger gets during training: those that take little time."""
    with styled(), observed(model, device, seed), optional("figures"):
        points = collect(model, data, "val" if len(data.val) else "train", device, MAX_POINTS_WHILE_TRAINING)
        return _drawn([view for view in VIEWS if view.while_training], Inputs(model, points, (), seed))
    return {}


def save(figures: dict[str, Figure], folder: Path) -> None:
    """Write each figure as NAME.png (200 dpi) and NAME.pdf atomically, then clear it."""
    with styled(), optional("figures"):
        folder.mkdir(exist_ok=True)
        for name, figure in track(list(figures.items()), "writing the figures"):
            with optional(f"figure {name}"):
                for kind, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
                    write = partial(figure.savefig, format=kind, dpi=200, metadata=metadata)
                    write_atomically(folder / f"{name}.{kind}", write)
                figure.clear()


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
