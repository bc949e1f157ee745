"""Training curves of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.ticker import MaxNLocator

from vae_cli.evaluation.keys import LABELS
from vae_cli.figures.curves import Curve, curve, first_bound, focus
from vae_cli.report.groups import Group
from vae_cli.report.plots.plot import MANY, Plot, colours, legend, single, text


def curves(groups: Sequence[Group], name: str) -> Plot | None:
    """A quantity by epoch: for each run a solid line for validation and a dotted line for training."""
    firsts = [first_bound(row for run in one.runs for row in run.history) for one in groups]
    names = [one.label for one, first in zip(groups, firsts, strict=True) if _has_validation(one, name, first)]
    if not names:
        return None
    figure, axes = single(names)
    settled: list[Curve] = []
    style: dict[str, Any] = {"rasterized": sum(len(one.runs) for one in groups) > MANY}
    for colour, one, first in zip(colours(len(groups)), groups, firsts, strict=True):
        label: str | None = text(one.label)
        for run in one.runs:
            if len(found := curve(run.history, f"val/{name}", first)):
                axes.plot(*found.T, color=colour, linewidth=0.9, label=label, marker="o" * (len(found) == 1), **style)
                settled.append(found)
                label = None
            if len(found := curve(run.history, f"train/{name}", first)):
                axes.plot(*found.T, color=colour, linewidth=0.7, linestyle=":", **style)
    focus(axes, settled)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.set(xlabel="epoch", ylabel=LABELS[name])
    legend(figure, axes, names)
    title = f"{LABELS[name]}: validation, and dotted training, of each run"
    return Plot(f"curves/{name}", "Training curves", title, figure)


def _has_validation(one: Group, name: str, first: float) -> bool:
    return any(len(curve(run.history, f"val/{name}", first)) for run in one.runs)
