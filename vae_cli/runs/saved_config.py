"""config.yaml of a run, which may come from anyone: values only, and the number of the format that it is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_cli.errors import ConfigError, first_line
from vae_cli.runs.atomic_files import write_text_atomically
from vae_cli.runs.layout import DATA, display

FORMAT = 1
"""Number of the format of a run's folder: names and content of its files, its checkpoints too."""
LARGEST = 1_000_000
"""Bytes of a configuration, which has some thousands."""


class NotARunError(ConfigError):
    """A config.yaml that some other program has written."""


def resolved(config: dict[str, Any] | DictConfig) -> DictConfig:
    """The configuration as a run keeps it: without interpolations, with absolute paths."""
    kept = OmegaConf.create(OmegaConf.to_container(OmegaConf.create(config), resolve=True))
    assert isinstance(kept, DictConfig)
    for key in (*DATA, "init"):
        if place := OmegaConf.select(kept, key):
            OmegaConf.update(kept, key, str(Path(place).expanduser().absolute()))
    return kept


def write(config: dict[str, Any] | DictConfig, file: Path, command: str) -> None:
    """Write the resolved configuration, after a comment with the command line and the number of the format."""
    comment = " ".join(command.splitlines())
    write_text_atomically(file, f"# {comment}\nformat: {FORMAT}\n{OmegaConf.to_yaml(resolved(config))}")


def read(file: Path) -> DictConfig:
    """The configuration of a run, without the number of the format; ConfigError for content that no run writes."""
    try:
        if (size := file.stat().st_size) > LARGEST:
            raise ValueError(f"{size:,} bytes are too many")
        text = file.read_text(encoding="utf-8")
        if not text.strip():
            raise ValueError("it is empty")
        _refuse_references(text)
        config = OmegaConf.create(text)
        number = config.pop("format", None) if isinstance(config, DictConfig) else None
    except (OSError, yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise ConfigError(f"{display(file)}: not readable: {first_line(error)}") from None
    if not isinstance(config, DictConfig) or not {"model", "dataset"} <= config.keys():
        raise NotARunError(f"{display(file)}: not the configuration of a run, it has no model or no dataset")
    _refuse_other_formats(number, file)
    return config


def _refuse_other_formats(number: object, file: Path) -> None:
    if number == FORMAT and type(number) is int:
        return
    if type(number) is int and number > FORMAT:
        raise ConfigError(
            f"{display(file)}: format: {number}, but this version of vae-cli reads format: {FORMAT}; "
            "update vae-cli (pip install --upgrade vae-cli)"
        )
    problem = "no format" if number is None else f"format: {number}"
    raise ConfigError(
        f"{display(file)}: states {problem}, but this version of vae-cli reads format: {FORMAT}; train the model again"
    )


def _refuse_references(text: str) -> None:
    """Refuse interpolations, which can read the environment, and aliases, of which a few lines can fill the memory."""
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {line} holds a YAML alias, *{event.anchor}, which no run writes")
        if isinstance(event, yaml.ScalarEvent) and "${" in event.value:
            raise ValueError(f"line {line} holds an interpolation, {event.value}, which no run writes")
