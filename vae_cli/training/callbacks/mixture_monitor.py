"""Warnings about the components of a mixture prior."""

from __future__ import annotations

import logging

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from vae_cli.distributed.rank import is_rank_zero
from vae_cli.training.lightning_module import LatentModelModule


class MixtureMonitor(Callback):
    """Warns when components become empty, merge, or have a variance that goes to zero or infinity."""

    def __init__(self) -> None:
        self.named: set[str] = set()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the prior in phases that train it."""
        assert isinstance(pl_module, LatentModelModule)
        prior, objective = pl_module.model.prior, pl_module.position.phase.objective
        if not (is_rank_zero() and "rate" in objective.provides):
            return
        found = prior.faults()
        for name, fault in found.items():
            if name not in self.named:
                message = f"epoch {trainer.current_epoch + 1}: {fault}"
                print(f"warning: {message}", flush=True)
                logging.getLogger("vae_cli").warning(message)
        self.named = set(found)
