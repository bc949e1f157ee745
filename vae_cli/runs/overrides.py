"""overrides.yaml: the overrides of a run's first start, which name its presets too; in a sweep those of its job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml
from omegaconf import OmegaConf

from vae_cli.runs.atomic_files import write_text_atomically

PRESETS = ("experiment", "sweep", "hparams_search", "debug")
"""Groups whose options set keys of many groups."""


def read(file: Path) -> list[str]:
    """The overrides as typed, none where there is no file; `damaged` in place of what is not readable."""
    if not file.exists():
        return []
    try:
        return [str(line) for line in OmegaConf.load(file)]
    except (OSError, yaml.YAMLError, ValueError):
        return ["damaged"]


def write(overrides: Sequence[str], file: Path) -> None:
    """Keep the overrides, unless those of an earlier start are here."""
    if not file.exists():
        write_text_atomically(file, OmegaConf.to_yaml(OmegaConf.create(list(overrides))))


def presets(overrides: Sequence[str]) -> list[str]:
    """The overrides that choose a preset, as in experiment=vade_paper.

    >>> presets(["experiment=vade_paper", "seed=1"])
    ['experiment=vade_paper']
    """
    return [line for line in overrides if key_of(line) in PRESETS]


def key_of(override: str) -> str:
    """The key or group that an override sets."""
    return override.partition("=")[0].lstrip("+~")
