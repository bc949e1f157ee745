"""Exact random state."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from vae_cli.batch import Batch
from vae_cli.datasets.noise import seed_of


class RandomState(Callback):
    """Keeps the random stream of training exact: in checkpoints, and untouched by validation, whose seed is fixed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.restored: dict[str, Any] | None = self._get()  # how much setting up draws depends on the processes
        self.training: dict[str, Any] | None = None

    @staticmethod
    def _get() -> dict[str, Any]:
        cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []  # of this process's device
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    @staticmethod
    def _set(state: dict[str, Any]) -> None:
        torch.set_rng_state(state["cpu"].cpu())
        if state["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"][0].cpu())

    def state_dict(self) -> dict[str, Any]:
        """The training stream as it stands."""
        return self.training or self._get()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the stream until the first batch."""
        self.restored = state_dict

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start where the checkpoint was written, or this was made, after everything that draws while setting up."""
        if self.restored is not None:
            self._set(self.restored)
            self.restored = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the training stream aside."""
        self.training = self._get()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """The same draws at every validation, whichever process has the batch."""
        torch.manual_seed(seed_of(self.seed, "validation", int(batch.index[0])))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Back to the training stream."""
        if self.training is not None:
            self._set(self.training)
            self.training = None
