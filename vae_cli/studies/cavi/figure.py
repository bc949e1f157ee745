"""Figures of the studies: shared parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vae_cli.figures.style import BLUE, TEXT_WIDTH
from vae_cli.studies.cavi.ascent import Step


def beside_elbo(steps: list[Step]) -> tuple[Figure, Axes]:
    """A figure with the ELBO by step on the right, and empty axes on the left."""
    figure = Figure(figsize=(TEXT_WIDTH, 0.42 * TEXT_WIDTH))
    left, right = figure.subplots(1, 2)
    right.plot([step.number for step in steps], [step.elbo for step in steps], ".-", color=BLUE)
    right.set(xlabel="step", title="ELBO (nats)")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, left


def ellipse(axes: Axes, mean: NDArray[Any], covariance: NDArray[Any], width: float, **looks: Any) -> None:
    """Points at `width` standard deviations from a mean (2,)."""
    values, vectors = np.linalg.eigh(covariance)
    angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
    long, short = 2 * width * np.sqrt(values[1]), 2 * width * np.sqrt(values[0])
    axes.add_patch(Ellipse((mean[0], mean[1]), long, short, angle=angle, fill=False, linewidth=1, **looks))
