"""Pruning of the trials of a search."""

from __future__ import annotations

import logging
import math
import warnings
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from vae_cli.config.search import chooses, score
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.types import NonNegativeInt

if TYPE_CHECKING:
    from optuna import Trial


class MedianPruning(Checkpoint):
    """Stops a trial whose best score so far is below the median of the scores of earlier trials at this epoch.

    The score is the validation ELBO, or minus the distortion where there is no bound, of the last phase. Outside a
    search by Optuna nothing is stopped. The base class is that of callbacks that run after an epoch is logged.

    Args:
        startup_trials: number of trials that run to their end before the first is stopped
        warmup_epochs: number of epochs of the last phase after which a trial may be stopped

    Golovin et al., "Google Vizier", 2017, section 3.2.2.
    """

    def __init__(self, startup_trials: NonNegativeInt = 5, warmup_epochs: NonNegativeInt = 5) -> None:
        self.startup_trials, self.warmup_epochs = startup_trials, warmup_epochs
        self.trial: Trial | None = None
        self.reason: str | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the trial of this job."""
        if is_rank_zero() and HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
            self.trial = self._running() if chooses(HydraConfig.get().sweeper) else None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the score of the epoch, and stop if it is too low."""
        assert isinstance(pl_module, LatentModelModule)
        epoch = trainer.current_epoch - (pl_module.epochs - pl_module.phases[-1].epochs)
        stop = epoch >= 0 and self._is_pruned(epoch, score({k: float(v) for k, v in trainer.callback_metrics.items()}))
        if trainer.strategy.broadcast(stop):
            self.reason = f"the median of {self.startup_trials} or more earlier trials (pruned)"
            trainer.should_stop = True

    def _is_pruned(self, epoch: int, value: float) -> bool:
        if self.trial is None or not math.isfinite(value):
            return False
        self.trial.report(value, epoch)
        return self.trial.should_prune()

    def _running(self) -> Trial | None:
        """The running trial with the values of this job."""
        import optuna
        from optuna.trial import TrialState

        optuna.logging.set_verbosity(logging.WARNING)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        settings, overrides = HydraConfig.get().sweeper, set(HydraConfig.get().overrides.task)
        pruner = optuna.pruners.MedianPruner(self.startup_trials, self.warmup_epochs)
        study = optuna.load_study(study_name=settings.study_name, storage=settings.storage, pruner=pruner)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if {f"{name}={value}" for name, value in trial.params.items()} <= overrides:
                return optuna.Trial(study, trial._trial_id)
        return None
