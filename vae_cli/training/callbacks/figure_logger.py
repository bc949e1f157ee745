"""Figures for the loggers during training."""

from __future__ import annotations

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from vae_cli.datasets import Data
from vae_cli.figures.drawing import panels
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.loggers import log_figures


class FigureLogger(Callback):
    """Sends reconstructions, samples and traversals to the loggers every so many epochs."""

    def __init__(self, data: Data, every: int, seed: int) -> None:
        self.data, self.every, self.seed = data, every, seed

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (trainer.current_epoch + 1) % self.every == 0 and trainer.is_global_zero:
            assert isinstance(pl_module, LatentModelModule)
            figures = panels(pl_module.model, self.data, pl_module.device, self.seed)
            log_figures(trainer.loggers, figures, trainer.global_step)
