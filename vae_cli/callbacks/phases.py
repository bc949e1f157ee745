"""The start of each phase of a training."""

from __future__ import annotations

import time

import torch
from omegaconf import DictConfig
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from rich.console import Console

from vae_cli.datasets import Data
from vae_cli.models import codes
from vae_cli.module import LitVAE
from vae_cli.phases import TrainingCodes


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
        size, limit = self.config.evaluate.batch_size, self.config.trainer.limit_batches
        loader = self.data.loader("train", batch_size=size, seed=0, shuffle=False, device=pl_module.device)
        pl_module.eval()
        devices = [pl_module.device] if pl_module.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.config.seed)
            points = limit * self.config.dataset.batch_size if limit else len(self.data.train)
            place.phase.begin(pl_module.model, TrainingCodes(codes(pl_module.model, loader), points, self.config.seed))
        pl_module.train()
        Console(soft_wrap=True, highlight=False).print(
            f"{len(self.data.train):,} codes clustered in {time.perf_counter() - began:.1f} s"
        )
