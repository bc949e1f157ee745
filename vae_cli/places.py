"""Keys that hold paths, and data that have moved since a run was trained on them. Imports torch only to load data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from vae_cli import signatures
from vae_cli.errors import ConfigError, UserError
from vae_cli.folders import display
from vae_cli.saved import read_config

if TYPE_CHECKING:
    from vae_cli.datasets import Data
    from vae_cli.evaluation import DataFacts

DATA = ("dataset.path", "dataset.root")
"""Where a run's data are: not what they are, which their SHA-256 tells."""
PATHS = (*DATA, "run", "out", "target.path", "study.path", "resume", "init", "ckpt", "hydra.run.dir", "hydra.sweep.dir")
"""All keys that hold a path."""


def relocated(config: DictConfig, places: Mapping[str, str | None]) -> DictConfig:
    """A run's configuration with its data in other places, given by the keys of DATA; None leaves one as it is."""
    moved, target = config.copy(), str(OmegaConf.select(config, "dataset._target_"))
    takes = [key for key in DATA if key.rpartition(".")[2] in signatures.read(target).parameters]
    for key, place in places.items():
        if place is None:
            continue
        if key not in takes:
            way = f"take {' or '.join(takes)}" if takes else "leave it out"
            raise ConfigError(f"{key}={place}: the run's data, {target.rpartition('.')[2]}, have no such key; {way}")
        OmegaConf.update(moved, key, str(Path(place).expanduser().absolute()), force_add=True)
    return moved


def load_again(config: DictConfig) -> Data:
    """The data of an earlier run; where they are gone, the error says how to name their new place."""
    from vae_cli.loading import load_data

    gone = [key for key, place in _places(config).items() if not Path(place).exists()]
    try:
        return load_data(config)
    except UserError as error:
        if not gone:
            raise
        way = f"{gone[0]}=PLACE says where they are now (in Python, load(..., {gone[0].replace('.', '_')}=PLACE))"
        raise UserError(f"{error}; if the data have moved, {way}") from error


def other_data(folder: Path, config: DictConfig, then: DataFacts, now: DataFacts) -> UserError:
    """The refusal of data that are not those that the run in a folder was trained on; `config` names the new ones."""
    old, new = (
        " ".join([facts.name, *_places(c).values()]) for facts, c in ((then, read_config(folder)), (now, config))
    )
    sizes = f"{then.examples:,} training examples, " if then.examples else ""
    return UserError(
        f"{display(folder)} was trained on {old} ({sizes}SHA-256 {then.sha256[:12]}...), no longer the data in "
        f"{new} ({now.examples:,} training examples, SHA-256 {now.sha256[:12]}...); give the place of the former"
    )


def _places(config: DictConfig) -> dict[str, str]:
    """The keys of DATA that are set, with their values."""
    found = {key: OmegaConf.select(config, key) for key in DATA}
    return {key: str(Path(place).expanduser().absolute()) for key, place in found.items() if place}
