"""A user's own callbacks."""

import os
from pathlib import Path

import pytorch_lightning as pl

HERE = Path(__file__).parent
PLUGIN = {"VAE_PLUGINS": "stopping", "PYTHONPATH": f"{HERE.parents[2]}{os.pathsep}{HERE}"}
"""The environment in which a command finds the first class below as `stopping.Stops`."""


class Stops(pl.Callback):
    """Logs a number of its own, and stops the training as its second epoch begins."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch == 1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.log("own/epoch", float(trainer.current_epoch))


class Spoils(pl.Callback):
    """Changes the weights at the end of the training."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for parameter in pl_module.parameters():
            parameter.data.zero_()
