"""TensorBoard event files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from vae_cli.config.comparison import flat
from vae_cli.config.search import score
from vae_cli.config.settings import setting_of
from vae_cli.runs.status import WELL
from vae_cli.training.loggers.run_logger import Row, RunLogger

MEASURES = ("test/", "val_split/", "train_split/", "gaps/", "exact/")
"""Prefixes of the final numbers that are measures of the model."""


class TensorBoardLogger(RunLogger):
    """Writes scalars and images at their steps, and at the end the hyperparameters with the final numbers.

    Args:
        folder: of the event files
        config: whole configuration
        resumed: step of the checkpoint that the run resumes from; TensorBoard hides what was written after it
    """

    shows_images = True

    def __init__(self, folder: Path, config: Mapping[str, Any], resumed: int | None) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        purge = None if resumed is None else resumed + 1
        self.writer = SummaryWriter(str(folder), purge_step=purge)
        self.config, self.step = config, 0

    def log_epoch(self, row: Row) -> None:
        self._scalars({name: value for name, value in row.items() if name != "step"}, int(row["step"]))

    def log_step(self, row: Row) -> None:
        self._scalars({name: row[name] for name in row if name.startswith("step/")}, int(row["step"]))

    def _scalars(self, values: Row, step: int) -> None:
        self.step = step
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def log_images(self, images: Mapping[str, Image], row: Row) -> None:
        for name, image in images.items():
            array = np.asarray(image.convert("RGB"))
            self.writer.add_image(name, array, int(row["step"]), dataformats="HWC")

    def finish(self, summary: Mapping[str, object]) -> None:
        """Write hyperparameters and final numbers; hp_metric is the number that a search maximises."""
        if summary.get("status") in WELL:
            numbers = {k: v for k, v in summary.items() if isinstance(v, int | float) and k.startswith(MEASURES)}
            self._hyperparameters({"hp_metric": score(summary), **numbers})
        self.writer.close()

    def _hyperparameters(self, numbers: Mapping[str, float]) -> None:
        from torch.utils.tensorboard.summary import hparams

        chosen = {k: v for k, v in flat(self.config) if k in ("name", "tags", "seed") or setting_of(k).distinguishes}
        plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in chosen.items()}
        for part in hparams(plain, dict(numbers)):
            self.writer._get_file_writer().add_summary(part, self.step)  # as add_hparams, but into this very run
        self._scalars(numbers, self.step)
