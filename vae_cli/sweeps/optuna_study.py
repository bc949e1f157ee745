"""Optuna's study in the folder of a sweep."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from vae_cli.commands.failure import attempt, require
from vae_cli.errors import ConfigError
from vae_cli.runs.layout import display

if TYPE_CHECKING:
    import optuna


class OptunaStudy(Callback):
    """Continues a study: `n_trials` counts all its trials, those of earlier starts included.

    The values of an interrupted run are tried first: the run is resumed in its folder.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Prepare the study and the sweeper's settings; hydra would turn an error into a warning."""
        require("vae-train", attempt(lambda: reopen(config)))


def reopen(config: DictConfig) -> None:
    """Enqueue the interrupted trials again, and set the sweeper's number of trials to the remaining number."""
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    Path(config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)  # for the file of the study
    settings = config.hydra.sweeper
    try:
        study = optuna.load_study(study_name=settings.study_name, storage=settings.storage)
    except KeyError:  # a new one
        return
    _same_choices(study, config)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    done = len(study.get_trials(states=(TrialState.COMPLETE,)))
    with read_write(settings), read_write(settings.sampler):
        settings.n_trials = max(0, settings.n_trials - done)
        if settings.sampler.get("seed") is not None:  # the sampler would repeat its earlier draws
            settings.sampler.seed += len(study.trials)


def _same_choices(study: optuna.Study, config: DictConfig) -> None:
    """Refuse a list of choices that differs from that of earlier trials, which Optuna does not support."""
    from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
    from optuna.distributions import CategoricalDistribution, check_distribution_compatibility

    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    space, _ = create_params_from_overrides([*params, *config.hydra.overrides.task])
    earlier = {name: kind for trial in study.trials for name, kind in trial.distributions.items()}
    for name in space.keys() & earlier.keys():
        try:
            check_distribution_compatibility(earlier[name], space[name])
        except ValueError:
            old = earlier[name]
            chosen = ",".join(map(str, old.choices)) if isinstance(old, CategoricalDistribution) else "an interval"
            raise ConfigError(
                f"{name}: the study in {display(Path(config.hydra.sweep.dir))} chooses from {chosen}, "
                "which cannot change; use the choices of the study, or another hydra.sweep.dir"
            ) from None
