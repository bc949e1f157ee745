"""A search over hyperparameters: its score, and the trials that it can compare."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from vae_cli.config import comparison
from vae_cli.config.comparison import flat, written
from vae_cli.errors import UserError
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.run_files import RESULTS
from vae_cli.runs.saved_config import resolved

WORST = -math.inf
GRIDS = ("hydra._internal.core_plugins.basic_sweeper.BasicSweeper", "hydra_plugins.grids.CheckedSweeper")
"""Sweepers that choose nothing."""


def score(results: Mapping[str, Any]) -> float:
    """The score that a search maximises: the best validation ELBO, or minus the distortion without one; nats.

    It is -inf where a run has neither or no finite one, because a NaN ends Optuna.
    """
    elbo, distortion = results.get("val/elbo"), results.get("val/distortion")
    value = -distortion if elbo is None and distortion is not None else elbo
    return value if value is not None and math.isfinite(value) else WORST


def searches(config: DictConfig) -> bool:
    """True if the sweeper chooses values by the results of earlier jobs; hydra's own sweeper runs a grid."""
    return chooses(config.hydra.sweeper)


def chooses(sweeper: Any) -> bool:
    """As `searches`, for the sweeper's own node; a job's process may not find the class of a plugin."""
    return sweeper._target_ not in GRIDS


def submits(config: DictConfig) -> bool:
    """True if the launcher's class states that it submits jobs to SLURM."""
    return getattr(get_class(config.hydra.launcher._target_), "submits", False)


@dataclass(frozen=True)
class Unlike:
    """A key, its values in two trials, and why the validation numbers of these cannot be compared."""

    key: str
    values: str
    why: str

    def __str__(self) -> str:
        """The problem, without a remedy."""
        return f"{self.key}: a search cannot choose between {self.values}, {self.why}"


WHY = {
    comparison.data: "whose data differ",
    comparison.measure: "whose validation numbers are not of one kind",
    comparison.evaluation: "which change the measurement, not the model",
}


def unlike(first: DictConfig, other: DictConfig) -> Unlike | None:
    """The first key that makes two trials incomparable; None where there is none."""
    one, two = _settings(first), _settings(other)
    for part, why in WHY.items():
        before, after = part(one), part(two)
        for key in before:
            if key in after and written(before[key]) != written(after[key]):
                values = (_named(key, settings[key]) for settings in (before, after))
                return Unlike(key.removesuffix("._target_"), " and ".join(values), why)
    return None


def _settings(config: DictConfig) -> dict[str, Any]:
    """The flat configuration, as a run keeps it."""
    kept = config.copy()
    OmegaConf.set_struct(kept, False)
    kept.pop("hydra", None)
    return dict(flat(OmegaConf.to_container(resolved(kept))))


def _named(key: str, value: Any) -> str:
    """A value as a user would type it, a class by its name."""
    if isinstance(value, str):
        return value.rpartition(".")[2] if key.endswith("._target_") else value
    return json.dumps(value)


def same_data(folder: Path, sha256: str) -> None:
    """UserError where an earlier trial, in a folder beside this one, was of other data."""
    for file in sorted(folder.parent.glob(f"*/{RESULTS}")):
        trial = RunFolder(file.parent)
        if trial.path != folder and trial.results_if_readable().get("data/sha256") not in (None, sha256):
            raise UserError(
                f"{trial}: an earlier trial of this search, of data that have changed since; "
                "a search cannot choose between them: use another hydra.sweep.dir"
            )
