"""Data that have moved or changed since a run was trained on them. Imports torch only to load data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_cli.config.schema import TrainConfig
from vae_cli.errors import UserError, counted
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import DATA

if TYPE_CHECKING:
    from vae_cli.datasets import Data
    from vae_cli.datasets.info import DatasetInfo


def load_again(config: TrainConfig) -> Data:
    """The data of an earlier run; where they are gone, the error names the key of their new path."""
    from vae_cli.training.loading import load_data

    gone = [key for key, place in _places(config.dataset.arguments).items() if not Path(place).exists()]
    try:
        return load_data(config)
    except UserError as error:
        if not gone:
            raise
        remedy = f"use {gone[0]}=PLACE (in Python: load(..., {gone[0].replace('.', '_')}=PLACE))"
        raise UserError(f"{error}; if the data have moved, {remedy}") from error


def other_data(run: RunFolder, config: TrainConfig, then: DatasetInfo, now: DatasetInfo) -> UserError:
    """The refusal of data that a run was not trained on; `config` names them."""
    old = " ".join([then.name, *_places(run.config().dataset).values()])
    new = " ".join([now.name, *_places(config.dataset.arguments).values()])
    sizes = f"{counted(then.examples, 'training example')}, " if then.examples else ""
    return UserError(
        f"{run} was trained on {old} ({sizes}SHA-256 {then.sha256[:12]}...), no longer the data in "
        f"{new} ({counted(now.examples, 'training example')}, SHA-256 {now.sha256[:12]}...); set the path of the former"
    )


def _places(dataset: Mapping[str, Any]) -> dict[str, str]:
    """The keys of DATA that have a value, with their values."""
    given = {f"dataset.{name}": place for name, place in dataset.items() if place}
    return {key: str(Path(given[key]).expanduser().absolute()) for key in DATA if key in given}
