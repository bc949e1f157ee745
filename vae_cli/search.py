"""A search over hyperparameters: what it maximises, and how its study goes on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

WORST = -math.inf


def score(results: Mapping[str, Any]) -> float:
    """What a search maximises: the best validation ELBO, or minus the distortion where there is none; nats.

    It is -inf where a run has neither, or one that is not finite: Optuna takes an infinity, and is ended by a NaN.
    """
    elbo, distortion = results.get("val/elbo"), results.get("val/distortion")
    value = -distortion if elbo is None and distortion is not None else elbo
    return value if value is not None and math.isfinite(value) else WORST


def searches(config: DictConfig) -> bool:
    """Whether the sweeper chooses values by what earlier jobs have returned, rather than run a grid of them."""
    return not str(config.hydra.sweeper._target_).endswith(".BasicSweeper")


class Study(Callback):
    """Lets Optuna's study in the sweep's folder go on.

    `n_trials` counts all of its trials, those of earlier starts too. Hyperparameters whose run was interrupted are
    tried first, so that the run goes on in its own folder.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Prepare the study, and the number of trials that are left."""
        import optuna
        from optuna.trial import TrialState

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        Path(config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)  # where the study's file is
        settings = config.hydra.sweeper
        try:
            study = optuna.load_study(study_name=settings.study_name, storage=settings.storage)
        except KeyError:  # a new one
            return
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)
        done = len(study.get_trials(states=(TrialState.COMPLETE,)))
        with read_write(settings), read_write(settings.sampler):
            settings.n_trials = max(0, settings.n_trials - done)
            if settings.sampler.get("seed") is not None:  # or it would draw what it has drawn before
                settings.sampler.seed += len(study.trials)
