"""The study of a search: Optuna's journal in the search's folder, which processes on several machines share."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Study, Trial

STUDY = "study.log"
"""Optuna's file in the folder of a search."""
NAME = "vae-train"
OVERRIDES = "overrides"
"""User attribute of a trial: the overrides of its job."""


def begin(folder: Path) -> Study:
    """The study in a folder, a new one where there is none."""
    try:
        return load(folder)
    except KeyError:
        optuna, storage = _storage(folder)
        return optuna.create_study(study_name=NAME, storage=storage, direction="maximize")


def load(folder: Path, pruner: Any = None) -> Study:
    """The study in a folder that has one."""
    optuna, storage = _storage(folder)
    return optuna.load_study(study_name=NAME, storage=storage, pruner=pruner)


def running(folder: Path, overrides: Iterable[str], pruner: Any = None) -> Trial | None:
    """The running trial whose job has these overrides, in their order or another; None where there is none."""
    from optuna import Trial
    from optuna.trial import TrialState

    if not (folder / STUDY).is_file():  # the search of another library
        return None
    study, wanted = load(folder, pruner), set(overrides)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if set(trial.user_attrs.get(OVERRIDES, ())) == wanted:
            return Trial(study, trial._trial_id)
    return None


def finish(folder: Path, overrides: Iterable[str], score: float, *, pruned: bool) -> None:
    """Tell the study how the trial of a job has ended, before the other jobs of its batch do; nothing without trial."""
    from optuna.trial import TrialState

    if trial := running(folder, overrides):
        if pruned:
            trial.study.tell(trial, state=TrialState.PRUNED)
        else:
            trial.study.tell(trial, score)


def _storage(folder: Path) -> tuple[Any, Any]:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"optuna\.")
    return optuna, JournalStorage(JournalFileBackend(str(folder / STUDY)))
