"""Exact random state."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback


class RandomState(Callback):
    """Keeps the random stream of training exact: in checkpoints, and untouched by validation, whose seed is fixed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.restored: dict[str, Any] | None = None
        self.training: dict[str, Any] | None = None

    @staticmethod
    def _get() -> dict[str, Any]:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    @staticmethod
    def _set(state: dict[str, Any]) -> None:
        torch.set_rng_state(state["cpu"].cpu())
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])

    def state_dict(self) -> dict[str, Any]:
        """The training stream as it stands."""
        return self.training or self._get()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the stream until the first batch, after everything that draws numbers while setting up."""
        self.restored = state_dict

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Go on where the checkpoint was written."""
        if self.restored is not None:
            self._set(self.restored)
            self.restored = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same draws at every validation."""
        self.training = self._get()
        torch.manual_seed(self.seed)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Back to the training stream."""
        if self.training is not None:
            self._set(self.training)
            self.training = None
