"""The state of a run while it trains, for other processes."""

from __future__ import annotations

from dataclasses import replace

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from vae_cli.distributed import slurm
from vae_cli.runs.folder import RunFolder
from vae_cli.training.callbacks.history import History


class StatusWriter(Callback):
    """Writes status.json: the number of finished epochs and the duration of one."""

    def __init__(self, run: RunFolder, history: History) -> None:
        self.run, self.history = run, history

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the state at the start."""
        self._write(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the state after an epoch."""
        self._write(trainer, trainer.current_epoch + 1)

    def _write(self, trainer: Trainer, epoch: int) -> None:
        if trainer.is_global_zero:
            status = replace(self.run.present_status(), state="running", job=slurm.job())
            epochs, seconds = trainer.max_epochs or epoch, self.history.seconds
            self.run.write_status(replace(status, epoch=epoch, epochs=epochs, seconds=round(seconds, 3)))
