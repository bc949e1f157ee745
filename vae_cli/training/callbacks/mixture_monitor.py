"""A watch over the components of a learned mixture."""

from __future__ import annotations

import logging

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from rich.console import Console

from vae_cli.distributed.rank import is_rank_zero
from vae_cli.training.lightning_module import LatentModelModule


class MixtureMonitor(Callback):
    """Names components that are empty, merged, or of a variance that runs to zero or infinity, when they become so."""

    def __init__(self) -> None:
        self.named: set[str] = set()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the prior once it is being trained."""
        assert isinstance(pl_module, LatentModelModule)
        prior, objective = pl_module.model.prior, pl_module.position.phase.objective
        if not (is_rank_zero() and "rate" in objective.provides):
            return
        found = prior.faults()
        for name, fault in found.items():
            if name not in self.named:
                message = f"epoch {trainer.current_epoch + 1}: {fault}"
                Console(soft_wrap=True, highlight=False).print(f"[yellow]warning:[/yellow] {message}")
                logging.getLogger("vae_cli").warning(message)
        self.named = set(found)
