"""The data of a run that have moved: their new place in its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vae_cli.config import signatures
from vae_cli.config.schema import Node, TrainConfig
from vae_cli.errors import ConfigError
from vae_cli.runs.layout import DATA


def relocated(config: TrainConfig, places: Mapping[str, str | None]) -> TrainConfig:
    """A run's configuration with its data in other places, given by the keys of DATA; None leaves one as it is."""
    node, moved = config.dataset, dict[str, str]()
    takes = [key for key in DATA if key.removeprefix("dataset.") in signatures.read(node.target).parameters]
    for key, place in places.items():
        if place is None:
            continue
        if key not in takes:
            way = f"use {' or '.join(takes)}" if takes else "remove it"
            raise ConfigError(f"{key}={place}: the run's data, {node.name}, have no such key; {way}")
        moved[key.removeprefix("dataset.")] = str(Path(place).expanduser().absolute())
    return replace(config, dataset=Node(node.target, node.arguments | moved))
