"""`make bench`: the cost of a step against batch size, latent dimensions, width and importance samples."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from vae_cli.commands.benchmark.contestants import Contestant, Program
from vae_cli.commands.benchmark.loops import BATCH
from vae_cli.commands.benchmark.runner import training_epoch
from vae_cli.figures.style import BLUE, DPI, TEXT_WIDTH, styled

STEPS = 12
"""Steps of a measured epoch."""
FILE = Path("outputs", "cost_curves.png")


@dataclass(frozen=True)
class Axis:
    """A size that is varied while the others keep their defaults.

    keys: as they are typed, with {} for the value
    """

    name: str
    keys: Sequence[str]
    values: Sequence[int]

    def label(self, value: int) -> str:
        return f"{self.name} {value}"


AXES = (
    Axis("batch size", ["dataset.batch_size={}"], (32, 128, 512, 2048, 4096)),
    Axis("latent dimensions", ["model.latent_dim={}"], (2, 8, 32, 128, 512)),
    Axis("units of each layer", ["network.hidden=[{0},{0}]"], (64, 128, 256, 512, 1024, 2048)),
    Axis("importance samples", ["objective=iwae", "objective.samples={}"], (1, 2, 5, 10, 20, 50)),
)


def programs(runner: Contestant) -> dict[str, Program]:
    """Programs that train a few steps of each size, and return steps a second."""
    return {axis.label(value): runner.program(_steps, n, value) for n, axis in enumerate(AXES) for value in axis.values}


def _steps(number: int, value: int) -> Program:
    batch = BATCH if number else value
    keys = [key.format(value) for key in AXES[number].keys]
    epoch = training_epoch(f"dataset.batch_size={BATCH}", f"trainer.limit_batches={STEPS}", *keys)
    return lambda: epoch() / batch


def draw(rates: Mapping[str, Sequence[float]], file: Path = FILE) -> Path:
    """Milliseconds a step by each size, as a figure in a file.

    Args:
        rates: steps a second of each round, by the labels of `programs`
    """
    with styled():
        figure = Figure((TEXT_WIDTH, 1.7))
        panels = figure.subplots(1, len(AXES), sharey=True)
        for panel, axis in zip(panels, AXES, strict=True):
            costs = [1000 / statistics.median(rates[axis.label(value)]) for value in axis.values]
            panel.plot(axis.values, costs, "o-", color=BLUE)
            panel.set(xscale="log", yscale="log", xlabel=axis.name, xticks=axis.values[::2])
            panel.xaxis.set(major_formatter=ScalarFormatter(), minor_formatter=NullFormatter())
            panel.yaxis.set(major_formatter=ScalarFormatter(), minor_formatter=NullFormatter())
            panel.tick_params(which="minor", length=0)
        panels[0].set_ylabel("ms a step")
        file.parent.mkdir(exist_ok=True)
        figure.savefig(file, dpi=DPI)
    return file
