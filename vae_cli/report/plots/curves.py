"""Training curves of all runs together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from vae_cli.evaluation.keys import LABELS
from vae_cli.report.groups import Group
from vae_cli.report.plots.plot import Plot, colours, legend, single, text
from vae_cli.report.runs import Run


def curves(groups: Sequence[Group], name: str) -> Plot | None:
    """One quantity by epoch, a line for each run in the colour of its group: validation, and training as dots."""
    names = [one.label for one in groups if any(len(_curve(one, run, f"val/{name}")) for run in one.runs)]
    if not names:
        return None
    figure, axes = single(names)
    settled: list[float] = []
    for colour, one in zip(colours(len(groups)), groups, strict=True):
        label: str | None = text(one.label)
        for run in one.runs:
            if len(curve := _curve(one, run, f"val/{name}")):
                axes.plot(*curve.T, color=colour, linewidth=0.9, label=label, marker="o" if len(curve) == 1 else "")
                settled += curve[len(curve) // 10 :, 1].tolist()
                label = None
            if len(curve := _curve(one, run, f"train/{name}")):
                axes.plot(*curve.T, color=colour, linewidth=0.7, linestyle=":")
    margin = 0.05 * (max(settled) - min(settled) or 1.0)
    axes.set_ylim(min(settled) - margin, max(settled) + margin)  # a first steep fall would flatten all the rest
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.set(xlabel="epoch", ylabel=LABELS[name])
    legend(figure, axes, names)
    title = f"{LABELS[name]}: validation, and dotted training, of each run"
    return Plot(f"curves/{name}", "Training curves", title, figure)


def _curve(one: Group, run: Run, key: str) -> np.ndarray:
    """Epochs and values (n, 2); pretraining is left out where a bound is trained after it: its scale is another."""
    bounded = [row["epoch"] for other in one.runs for row in other.history if {"train/elbo", "epoch"} <= row.keys()]
    rows = [(row["epoch"], row[key]) for row in run.history if {key, "epoch"} <= row.keys()]
    kept = [row for row in rows if row[0] >= min(bounded, default=-math.inf) and all(map(math.isfinite, row))]
    return np.array(kept).reshape(-1, 2)
