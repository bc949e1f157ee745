"""Rate against distortion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vae_cli.figures.style import GREY
from vae_cli.report.groups import Group
from vae_cli.report.plots.plot import Plot, colours, legend, single, text

SECTION = "Rate, distortion, active units"
RATE, DISTORTION = "test/rate", "test/distortion"


def rate_distortion(groups: Sequence[Group]) -> Plot | None:
    """Test rate and distortion of each run; grey lines connect points of equal ELBO."""
    points = [
        np.array([[run.numbers[RATE], run.numbers[DISTORTION]] for run in one.finished if _has_both(run.numbers)])
        for one in groups
    ]
    drawn = [number for number, mine in enumerate(points) if len(mine)]
    if not drawn:
        return None
    names = [groups[number].label for number in drawn]
    figure, axes = single(names)
    palette = colours(len(groups))
    for number in drawn:
        axes.scatter(*points[number].T, s=16, color=palette[number], label=text(groups[number].label))
    every = np.concatenate([points[number] for number in drawn])
    low, high = every.min(0), every.max(0)
    margin = 0.08 * np.where(high > low, high - low, 1.0)
    (left, bottom), (right, top) = low - margin, high + margin
    for total in np.linspace(left + bottom, right + top, 7)[1:-1]:
        axes.plot([left, right], [total - left, total - right], color=GREY, linewidth=0.4, zorder=0)
    axes.set(xlabel="test rate (nats)", ylabel="test distortion (nats)", xlim=(left, right), ylim=(bottom, top))
    legend(figure, axes, names)
    title = "distortion against rate, a point for each run; grey: equal ELBO"
    return Plot("rate_distortion", SECTION, title, figure)


def _has_both(numbers: dict[str, float]) -> bool:
    return {RATE, DISTORTION} <= numbers.keys()
