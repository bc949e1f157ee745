"""The state of a run while it trains, for other processes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from vae_cli.distributed import slurm
from vae_cli.runs.folder import RunFolder
from vae_cli.training.callbacks.history import History

if TYPE_CHECKING:
    from vae_cli.training.selection import Selection


class StatusWriter(Checkpoint):
    """Writes status.json: finished epochs, the duration of one, and the best value so far of the number that selects.

    Its base class is `Checkpoint` for the reason that `History` gives; it runs after `History`.
    """

    def __init__(self, run: RunFolder, history: History, selection: Selection) -> None:
        self.run, self.history, self.selection = run, history, selection
        self.last = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the state at the start."""
        self.last = time.perf_counter()
        self._write(trainer, trainer.current_epoch, self.history.seconds)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the state after an epoch, which lasts until its validation has ended."""
        seconds, self.last = time.perf_counter() - self.last, time.perf_counter()
        self._write(trainer, trainer.current_epoch + 1, max(seconds, self.history.seconds))

    def _write(self, trainer: Trainer, epoch: int, seconds: float) -> None:
        if trainer.is_global_zero:
            status = replace(self.run.present_status(), state="running", job=slurm.job())
            status = replace(status, epoch=epoch, epochs=trainer.max_epochs or epoch, seconds=round(seconds, 3))
            rows, monitor = self.history.rows, self.selection.monitor
            best, _ = self.selection.waited(rows)
            value = rows[best - 1][monitor] if monitor and best else None
            self.run.write_status(replace(status, monitor=monitor, best=value))
