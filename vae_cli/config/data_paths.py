"""The data of a run that have moved: their new place in its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vae_cli.config import signatures
from vae_cli.errors import ConfigError
from vae_cli.runs.layout import DATA


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
