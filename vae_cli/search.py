"""A search over hyperparameters: which sweeps are one, and what it maximises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

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
