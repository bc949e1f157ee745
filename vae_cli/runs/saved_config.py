"""The configuration in a run's folder, which may come from anyone: values only, and nothing that leads elsewhere."""

from __future__ import annotations

from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_cli.errors import ConfigError, first_line
from vae_cli.runs.layout import CONFIG, LAST, display

LARGEST = 1_000_000
"""Bytes of a configuration: ours have some thousands."""


def read_config(folder: Path) -> DictConfig:
    """The configuration that a run keeps in its folder; refused where that holds what no run of ours writes."""
    file = folder / CONFIG
    try:
        if (size := file.stat().st_size) > LARGEST:
            raise ValueError(f"{size:,} bytes are too many")
        text = file.read_text(encoding="utf-8")
        _values_only(text)
        config = OmegaConf.create(text)
    except (OSError, yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise ConfigError(f"{display(file)}: not readable: {first_line(error)}") from None
    if not isinstance(config, DictConfig):
        raise ConfigError(f"{display(file)}: not the configuration of a run")
    _enclosed(folder)
    return config


def _values_only(text: str) -> None:
    """Refuse interpolations, which can read environment variables, and aliases: a few lines of them fill the memory."""
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {line} holds a YAML alias, *{event.anchor}, which no run writes")
        if isinstance(event, yaml.ScalarEvent) and "${" in event.value:
            raise ValueError(f"line {line} holds an interpolation, {event.value}, which no run writes")


def _enclosed(folder: Path) -> None:
    """Refuse links by which what is written into a run's folder would land elsewhere."""
    for path in [*folder.iterdir(), *folder.joinpath(LAST.parent).glob("*")]:
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            place = f"{display(folder)}/{path.relative_to(folder)}"
            problem = f"a link that leads out of the run's folder, to {path.resolve()}"
            raise ConfigError(f"{place}: {problem}; put what it names in its place")
