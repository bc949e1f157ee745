"""Progress on the terminal."""

from __future__ import annotations

import sys
import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vae_cli.training.callbacks.history import History
from vae_cli.training.lightning_module import LatentModelModule


def _numbers(row: dict[str, float]) -> str:
    """The metrics of an epoch as text."""
    parts = [
        f"{name} {row[name]:.2f}" for name in ("train/loss", "val/elbo", "val/distortion", "val/rate") if name in row
    ]
    return "  ".join(parts)


def _where(pl_module: LightningModule) -> str:
    """The epoch of the phase, with the name of the phase if there are several."""
    assert isinstance(pl_module, LatentModelModule)
    position, epoch = pl_module.position, pl_module.current_epoch
    within = f"{epoch - position.first + 1}/{position.phase.epochs}"
    return f"epoch {within}" if len(pl_module.phases) == 1 else f"{position.phase.name}, epoch {within}"


QUIET = 60.0
"""Seconds between two lines of progress of an evaluation."""


class EpochProgress(Checkpoint):
    """A progress bar on a terminal; else one line for each epoch, and one for each minute of an evaluation.

    The base class is `Checkpoint` for the reason that `History` gives; it comes after `History`.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.last = 0.0
        self.began = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.began, self.first_epoch = time.perf_counter(), trainer.current_epoch
        if self.console.is_terminal:
            self._show("training", (trainer.max_epochs or 1) * trainer.num_training_batches)

    def _show(self, what: str, total: float) -> None:
        columns = (
            "[bold]{task.description}",
            "{task.percentage:>3.0f} %",
            "{task.fields[rate]}",
            "{task.fields[numbers]}",
        )
        texts = [TextColumn(column) for column in columns]
        self.bar = Progress(
            texts[0], BarColumn(24), texts[1], TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            texts[2], texts[3], console=self.console, transient=True,
        )  # fmt: skip
        self.task = self.bar.add_task(what, total=total, rate="", numbers="")
        self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, five times a second at most."""
        now = time.perf_counter()
        if self.bar is None or now - self.last < 0.2:
            return
        self.last = now
        done = trainer.current_epoch * trainer.num_training_batches + batch_idx + 1
        self.bar.update(
            self.task,
            completed=done,
            description=_where(pl_module),
            rate=f"{self.history.samples_per_second:,.0f} images/s",
        )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the metrics of the epoch, in the bar or as a line."""
        row, epochs = self.history.rows[-1], trainer.current_epoch + 1
        if self.bar is not None:
            self.bar.update(self.task, completed=epochs * trainer.num_training_batches, numbers=_numbers(row))
            return
        each = (time.perf_counter() - self.began) / (epochs - self.first_epoch)
        left = each * ((trainer.max_epochs or epochs) - epochs)
        self.console.print(
            f"{_where(pl_module)}  {_numbers(row)}  "
            f"{row['train/samples_per_second']:,.0f} images/s  {left / 60:.1f} min left"
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar and print the metrics of the last epoch."""
        if self.bar is not None and self.history.rows:
            self.console.print(f"trained {trainer.current_epoch} epochs  {_numbers(self.history.rows[-1])}")
        self._hide()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar of the evaluation."""
        self.began = self.last = time.perf_counter()
        if self.console.is_terminal:
            self._show("evaluating", sum(trainer.num_test_batches))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the bar, or print a line."""
        done, now = batch_idx + 1, time.perf_counter()
        if self.bar is not None:
            self.bar.update(self.task, completed=done)
        elif now - self.last > QUIET:
            self.last, total = now, sum(trainer.num_test_batches)
            left = (now - self.began) * (total - done) / done
            self.console.print(f"evaluating, {done / total:.0%}  {left / 60:.1f} min left")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._hide()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._hide()

    def _hide(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
