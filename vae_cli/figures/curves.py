"""Training curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vae_cli.figures.style import BLUE, GREY, ORANGE, TEXT_WIDTH

Row = dict[str, float]
Curve = NDArray[np.float64]
"""Epochs and values, (n, 2)."""
QUANTITIES = {
    "elbo": "ELBO (nats)",
    "distortion": "distortion (nats)",
    "rate": "rate (nats)",
    "divergence": "divergence",
    "discriminator_accuracy": "accuracy of the discriminator",
    "loss": "loss",
}
PANELS = 3
"""Panels in the width of the text."""
SPLITS = {"train": ("training", BLUE), "val": ("validation", ORANGE)}


def training_curves(history: Sequence[Row]) -> Figure | None:
    """The first PANELS of QUANTITIES in the history against the epoch; None where the history has none."""
    first = first_bound(history)
    history = [row for row in history if row.get("epoch", -math.inf) >= first]
    drawn = {
        name: curves
        for name in QUANTITIES
        if (curves := {split: found for split in SPLITS if len(found := curve(history, f"{split}/{name}"))})
    }
    if len(drawn) > 1:
        drawn.pop("loss", None)  # the other quantities are its terms
    drawn = dict(islice(drawn.items(), PANELS))
    if not drawn:
        return None
    figure = Figure(figsize=(TEXT_WIDTH * max(2, len(drawn)) / 3, 0.36 * TEXT_WIDTH))
    row: Any = figure.subplots(1, len(drawn), squeeze=False)
    for axes, (name, curves) in zip(row[0], drawn.items(), strict=True):
        for split, found in curves.items():
            label, colour = SPLITS[split]
            axes.plot(*found.T, color=colour, label=label, marker="o" if len(found) < 10 else "")
        _phases(axes, history)
        focus(axes, list(curves.values()))
        if len({epoch for found in curves.values() for epoch in found[:, 0]}) == 1:
            axes.margins(x=1)
        axes.set(title=QUANTITIES[name], xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    longest = max(row[0], key=lambda axes: len(axes.get_lines()))
    figure.legend(*longest.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def first_bound(rows: Iterable[Row]) -> float:
    """The first epoch that trains a bound, where curves begin, because losses of pretraining have another scale."""
    return min((row["epoch"] for row in rows if {"train/elbo", "epoch"} <= row.keys()), default=-math.inf)


def curve(history: Sequence[Row], key: str, first: float = -math.inf) -> Curve:
    """Finite values of a quantity from the epoch `first` on."""
    rows = [(row["epoch"], row[key]) for row in history if {"epoch", key} <= row.keys()]
    return np.array([row for row in rows if row[0] >= first and all(map(math.isfinite, row))]).reshape(-1, 2)


def focus(axes: Axes, curves: Sequence[Curve]) -> None:
    """Fit the vertical axis to the values after the first tenth of training, which has another scale."""
    settled = np.concatenate([found[math.ceil(len(found) / 10) if len(found) >= 10 else 0 :, 1] for found in curves])
    margin = 0.05 * (np.ptp(settled) or abs(settled[0]) or 1.0)
    axes.set_ylim(settled.min() - margin, settled.max() + margin)


def _phases(axes: Axes, history: Sequence[Row]) -> None:
    """A thin line after the last epoch of each phase but the last."""
    for before, after in pairwise(history):
        if before.get("phase") != after.get("phase"):
            axes.axvline(before["epoch"] + 0.5, color=GREY, linewidth=0.5, linestyle=":")
