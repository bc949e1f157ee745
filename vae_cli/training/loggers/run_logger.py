"""The interface of a logger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from PIL.Image import Image

Row = Mapping[str, float]
Files = Callable[[], Mapping[str, Path]]
"""The files of a run that a logger keeps, by their paths in its artefact; empty without logger.artifacts."""


class RunLogger:
    """A destination of the numbers and images of a run; each row holds `epoch`, from 1, and `step`."""

    shows_images: bool = False

    def log_epoch(self, row: Row) -> None:
        """Log the row of an epoch, as in metrics.csv."""

    def log_step(self, row: Row) -> None:
        """Log the row of an optimiser step, with names `step/...`."""

    def log_images(self, images: Mapping[str, Image], row: Row) -> None:
        """Log images by name at the epoch and the step of the row."""

    def finish(self, summary: Mapping[str, object]) -> None:
        """Log the final numbers, whose `status` is `done` if the run is, and close."""

    def abandon(self) -> None:
        """Free what the logger holds, after a failure."""
