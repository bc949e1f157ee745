"""Pruning of the trials of a search."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from vae_cli.config.search import chooses, score
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.errors import counted
from vae_cli.runs import study
from vae_cli.training.lightning_module import LatentModelModule

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.pruners import BasePruner


class Pruning(Checkpoint):
    """Stops a trial of a search when a pruner of Optuna says so.

    The trial reports its score after each epoch to the study in the folder of the search, which trials that train at
    the same time share. The score is the validation ELBO, or minus the distortion where there is no bound. Step n is
    epoch n of the last phase. Outside a search nothing is stopped. The base class is that of callbacks that run after
    an epoch is logged.

    Args:
        pruner: Optuna's, as in _target_: optuna.pruners.MedianPruner
    """

    def __init__(self, pruner: BasePruner) -> None:
        self.pruner = pruner
        self.trial: Trial | None = None
        self.reason: str | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the trial of this job."""
        if is_rank_zero() and HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
            settings = HydraConfig.get()
            if chooses(settings.sweeper):
                self.trial = study.running(Path(settings.sweep.dir), settings.overrides.task, self.pruner)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the score of the epoch, and stop if the pruner says so."""
        assert isinstance(pl_module, LatentModelModule)
        epoch = trainer.current_epoch + 1 - (pl_module.epochs - pl_module.phases[-1].epochs)
        is_last = trainer.current_epoch + 1 >= pl_module.epochs
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        stop = epoch > 0 and self._is_pruned(epoch, score(scores)) and not is_last
        if trainer.strategy.broadcast(stop):
            done = f"{trainer.current_epoch + 1} of {counted(pl_module.epochs, 'epoch')}"
            self.reason = f"{type(self.pruner).__name__} after {done}"
            trainer.should_stop = True

    def _is_pruned(self, epoch: int, value: float) -> bool:
        if self.trial is None or not math.isfinite(value):
            return False
        self.trial.report(value, epoch)
        return self.trial.should_prune()


def is_pruned(trainer: Trainer) -> bool:
    """True if a pruner has stopped the training."""
    return any(isinstance(one, Pruning) and one.reason for one in trainer.checkpoint_callbacks)
