"""Random state of training, for exact resumption."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from vae_cli.batch import Batch
from vae_cli.datasets.noise import seed_of
from vae_cli.distributed.shard import seed_draws


class RandomState(Callback):
    """Saves the random state of training in checkpoints, and restores it after validation, whose seed is fixed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.restored: dict[str, Any] | None = self._get()  # the set-up draws a number that depends on the world size
        self.training: dict[str, Any] | None = None

    @staticmethod
    def _get() -> dict[str, Any]:
        cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []  # state of this process's device
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    @staticmethod
    def _set(state: dict[str, Any]) -> None:
        torch.set_rng_state(state["cpu"].cpu())
        if state["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"][0].cpu())

    def state_dict(self) -> dict[str, Any]:
        """The current random state of training."""
        return self.training or self._get()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the first batch."""
        self.restored = state_dict

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Restore, after the set-up, the state of the checkpoint or of the construction of this callback."""
        if self.restored is not None:
            self._set(self.restored)
            self.restored = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the random state of training."""
        self.training = self._get()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Set a seed that depends on the batch alone, so that all validations have equal draws on any process."""
        seed_draws(seed_of(self.seed, "validation", int(batch.index[0])))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the random state of training."""
        if self.training is not None:
            self._set(self.training)
            self.training = None
