"""Training curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_cli.figures.style import BLUE, GREY, ORANGE, TEXT_WIDTH

Curve = tuple[list[float], list[float]]
QUANTITIES = {
    "elbo": "ELBO (nats)",
    "distortion": "distortion (nats)",
    "rate": "rate (nats)",
    "divergence": "divergence",
    "discriminator_accuracy": "accuracy of the discriminator",
    "loss": "loss",
}
PANELS = 3
"""As many as the width of a text holds."""
SPLITS = {"train": ("training", BLUE), "val": ("validation", ORANGE)}


def training_curves(history: Sequence[dict[str, float]]) -> Figure | None:
    """ELBO, distortion and rate against the epoch, or what there is in their place; None where nothing was logged.

    Pretraining is left out where a bound was trained after it: its scale is another.
    """
    bounded = [row["epoch"] for row in history if "train/elbo" in row]
    if bounded:
        history = [row for row in history if "epoch" in row and row["epoch"] >= min(bounded)]
    drawn = {
        name: curves
        for name in QUANTITIES
        if (curves := {split: curve for split in SPLITS if (curve := _curve(history, f"{split}/{name}"))[0]})
    }
    if len(drawn) > 1:
        drawn.pop("loss", None)  # it is made of the others
    drawn = dict(islice(drawn.items(), PANELS))
    if not drawn:
        return None
    figure = Figure(figsize=(TEXT_WIDTH * max(2, len(drawn)) / 3, 0.36 * TEXT_WIDTH))
    row: Any = figure.subplots(1, len(drawn), squeeze=False)
    for axes, (name, curves) in zip(row[0], drawn.items(), strict=True):
        for split, (epochs, values) in curves.items():
            label, colour = SPLITS[split]
            axes.plot(epochs, values, color=colour, label=label, marker="o" if len(epochs) < 10 else "")
        _phases(axes, history)
        _focus(axes, list(curves.values()))
        if len({epoch for epochs, _ in curves.values() for epoch in epochs}) == 1:
            axes.margins(x=1)
        axes.set(title=QUANTITIES[name], xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    longest = max(row[0], key=lambda axes: len(axes.get_lines()))
    figure.legend(*longest.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _curve(history: Sequence[dict[str, float]], key: str) -> Curve:
    """Epochs and values of the rows that have both, leaving gaps and overflows out."""
    rows = [(row["epoch"], row[key]) for row in history if "epoch" in row and key in row]
    finite = [row for row in rows if all(map(math.isfinite, row))]
    return [epoch for epoch, _ in finite], [value for _, value in finite]


def _ends(history: Sequence[dict[str, float]]) -> list[float]:
    """The last epoch of each phase that another one follows."""
    return [a["epoch"] for a, b in pairwise(history) if a.get("phase") != b.get("phase")]


def _phases(axes: Axes, history: Sequence[dict[str, float]]) -> None:
    """A thin line where a phase of training gives way to the next."""
    for epoch in _ends(history):
        axes.axvline(epoch + 0.5, color=GREY, linewidth=0.5, linestyle=":")


def _focus(axes: Axes, curves: list[Curve]) -> None:
    """Fit the vertical axis to what follows the first tenth: a first steep fall would flatten all the rest."""
    settled = np.concatenate(
        [values[math.ceil(len(values) / 10) if len(values) >= 10 else 0 :] for _, values in curves]
    )
    margin = 0.05 * (np.ptp(settled) or abs(settled[0]) or 1.0)
    axes.set_ylim(settled.min() - margin, settled.max() + margin)
