"""Rows and images for the loggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor
from torch.optim import Optimizer

from vae_cli.training.blocks import Block
from vae_cli.training.callbacks.history import History
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.loggers import RunLogger


class LogWriter(Checkpoint):
    """Logs the row of each epoch, and of every n-th optimiser step the terms of its batch and the gradient norm.

    Values are read from the device at these steps alone. The base class is `Checkpoint` for the reason that `History`
    gives; this callback runs after `History`.

    Args:
        every: optimiser steps between two rows
    """

    def __init__(self, loggers: Sequence[RunLogger], history: History, every: int) -> None:
        self.loggers, self.history, self.every = loggers, history, every
        self.gradient: tuple[Tensor, float] | None = None  # of the step that is logged: norm, learning rate
        self.before = (0, 0.0)

    def next_step(self, step: int) -> int:
        """The next step that is logged."""
        return step + self.every - step % self.every

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Compute the norm of the gradient, before it is clipped, at a step that is logged."""
        if (trainer.global_step + 1) % self.every:
            return
        gradients = [value.grad for value in pl_module.parameters() if value.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            norm = norm / scaler.get_scale()  # a fused optimiser unscales within its step
        self.gradient = norm, optimizer.param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Block, batch_idx: int
    ) -> None:
        """Log the row of a step."""
        if self.gradient is None:
            return
        assert isinstance(pl_module, LatentModelModule)
        (norm, rate), self.gradient = self.gradient, None
        now = self.history.examples, self.history.seconds
        examples, seconds = self.before if self.before[0] < now[0] else (0, 0.0)  # a new epoch counts from 0
        self.before = now
        values = pl_module.last_terms(batch) | {
            "gradient_norm": float(norm),
            "lr": rate,
            "samples_per_second": (now[0] - examples) / max(now[1] - seconds, 1e-9),
        }
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        for logger in self.loggers:
            logger.log_step(row | {f"step/{name}": value for name, value in values.items()})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the row of the epoch."""
        for logger in self.loggers:
            logger.log_epoch(self.history.rows[-1])
