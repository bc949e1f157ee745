"""Loggers beside metrics.csv: W&B, TensorBoard, MLflow, steps.csv; the libraries' own logs go to the log file."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from vae_cli.config.schema import LoggerConfig
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.runs.folder import RunFolder
from vae_cli.training.loggers.guarded import Guarded
from vae_cli.training.loggers.mlflow import MLflowLogger
from vae_cli.training.loggers.run_logger import Files, Row, RunLogger
from vae_cli.training.loggers.steps_file import StepsFile
from vae_cli.training.loggers.tensorboard import TensorBoardLogger
from vae_cli.training.loggers.weights_and_biases import WandbLogger

__all__ = ["RunLogger", "log_figures", "log_images", "opened", "quiet_libraries"]


def quiet_libraries() -> None:
    """Send warnings of Lightning and Python to the log file; drop the notices of W&B."""
    os.environ.setdefault("WANDB_SILENT", "true")
    logging.captureWarnings(True)
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "The `srun` command is available on your system but is not used")
    warnings.filterwarnings("ignore", ".isinstance.treespec, LeafSpec", FutureWarning)


@contextmanager
def opened(
    settings: LoggerConfig,
    run: RunFolder,
    group: str | None,
    config: Mapping[str, Any],
    resumed: int | None,
    summary: Mapping[str, object],
) -> Iterator[list[RunLogger]]:
    """The loggers of a run on rank 0; at its end they log the numbers that `summary` then has, and close.

    A failure costs the run a warning, except that a logger which cannot start refuses the run.

    Args:
        group: sweep to which the run belongs
        config: whole configuration, which W&B and TensorBoard keep
        resumed: step of the checkpoint that the run resumes from
    """
    loggers = list[RunLogger]()
    try:
        if is_rank_zero():
            files: Files = run.published if settings.artifacts else dict
            if settings.csv:
                loggers.append(Guarded("csv", StepsFile(run, resumed)))
            if settings.tensorboard:
                loggers.append(Guarded("tensorboard", TensorBoardLogger(run.path / "tensorboard", config, resumed)))
            if settings.wandb:
                loggers.append(Guarded("wandb", WandbLogger(settings.wandb, run.path, group, config, files)))
            if settings.mlflow:
                loggers.append(Guarded("mlflow", MLflowLogger(settings.mlflow, run.path, group, config, files)))
        yield loggers
    finally:
        for logger in loggers:
            logger.finish(summary)


def log_figures(loggers: Sequence[RunLogger], folder: Path, row: Row) -> None:
    """Log the PNG files of a run's figures, as `log_images`."""
    files = sorted(folder.glob("*.png")) if any(logger.shows_images for logger in loggers) else []
    with ExitStack() as stack:
        images = {f"figures/{file.stem}": stack.enter_context(Image.open(file)) for file in files}
        log_images(loggers, images, row)


def log_images(loggers: Sequence[RunLogger], images: Mapping[str, Image.Image], row: Row) -> None:
    """Log images to each logger that shows them, at the epoch and the step of the row."""
    for logger in loggers:
        if images and logger.shows_images:
            logger.log_images(images, {name: row[name] for name in ("epoch", "step")})
