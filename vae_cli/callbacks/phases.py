"""The start of each phase of a training."""

from __future__ import annotations

import time

import torch
from omegaconf import DictConfig
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from rich.console import Console

from vae_cli.datasets import Data
from vae_cli.models import Codes, codes
from vae_cli.module import LitVAE
from vae_cli.phases import TrainingCodes

DRAWS = 5
"""Of each training image, where there is more than one to see."""


class PhaseStart(Callback):
    """Prepares the model for a phase, by seeds of its own, so that a resumed run prepares it no differently."""

    def __init__(self, data: Data, config: DictConfig) -> None:
        self.data, self.config = data, config

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the first epoch of a phase: encode the training set and let the phase begin."""
        assert isinstance(pl_module, LitVAE)
        place = pl_module.place
        if place.phase.begin is None or trainer.current_epoch != place.first:
            return
        began = time.perf_counter()
        pl_module.eval()
        devices = [pl_module.device] if pl_module.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.config.seed)
            place.phase.begin(pl_module.model, self._codes(pl_module))
        pl_module.train()
        Console(soft_wrap=True, highlight=False).print(
            f"{len(self.data.train):,} codes clustered in {time.perf_counter() - began:.1f} s"
        )

    def _codes(self, pl_module: LitVAE) -> TrainingCodes:
        """Of the training set; of data drawn anew at each visit, means over several draws, which are less noisy."""
        size, limit = self.config.dataset.batch_size, self.config.trainer.limit_batches
        settings = {"batch_size": self.config.evaluate.batch_size, "shuffle": False, "device": pl_module.device}
        loaders = [self.data.loader("train", seed=draw, **settings) for draw in range(DRAWS)]
        drawn = [codes(pl_module.model, loader) for loader in (loaders if self.data.train.dynamic else loaders[:1])]
        means, variances = ([getattr(one, moment) for one in drawn] for moment in ("means", "variances"))
        average = Codes(torch.stack(means).mean(0), torch.stack(variances).mean(0))
        return TrainingCodes(average, limit * size if limit else len(self.data.train), self.config.seed)
