"""config.yaml of a run, which may come from anyone: values only, and the number of the format that it is in."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import get_omega_conf_dumper, get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from vae_cli.errors import ConfigError, first_line
from vae_cli.runs.atomic_files import write_text_atomically
from vae_cli.runs.layout import DATA, display

FORMAT = 3
"""Number of the format of a run's folder: names and content of its files, its checkpoints too."""
EARLIEST = 1
"""The first format that is read."""
LARGEST = 1_000_000
"""Bytes of a configuration, which has some thousands."""


class Loader(*((yaml.CSafeLoader,) if yaml.__with_libyaml__ else ()), get_yaml_loader()):
    """OmegaConf's loader, with the parser of libyaml: a report reads hundreds of files, each in a fifth of the time."""


class Dumper(*((yaml.CDumper,) if yaml.__with_libyaml__ else ()), get_omega_conf_dumper()):
    """OmegaConf's dumper, with the emitter of libyaml, for each job of a sweep."""


class NotARunError(ConfigError):
    """A config.yaml that some other program has written."""


def resolved(config: dict[str, Any] | DictConfig) -> DictConfig:
    """The configuration as a run keeps it: without interpolations, with absolute paths."""
    return OmegaConf.create(_plain(config))


def _plain(config: dict[str, Any] | DictConfig) -> dict[str, Any]:
    kept: Any = deepcopy(config) if isinstance(config, dict) else OmegaConf.to_container(config, resolve=True)
    for key in (*DATA, "init", "reproduce"):
        part, _, name = key.rpartition(".")
        node = kept.get(part) if part else kept
        if node and (place := node.get(name)):
            node[name] = str(Path(place).expanduser().absolute())
    return kept


def _text(config: dict[str, Any] | DictConfig) -> str:
    return yaml.dump(_plain(config), Dumper=Dumper, allow_unicode=True, sort_keys=False)


def read_back(config: dict[str, Any] | DictConfig) -> dict[str, Any]:
    """The configuration as it is read again once a run has kept it."""
    return yaml.load(_text(config), Loader)


def write(config: dict[str, Any] | DictConfig, file: Path, command: str) -> None:
    """Write the resolved configuration, after a comment with the command line and the number of the format."""
    comment = " ".join(command.splitlines())
    write_text_atomically(file, f"# {comment}\nformat: {FORMAT}\n{_text(config)}")


def read(file: Path) -> DictConfig:
    """The configuration of a run, without the number of the format; ConfigError for content that no run writes."""
    try:
        if (size := file.stat().st_size) > LARGEST:
            raise ValueError(f"{size:,} bytes are too many")
        text = file.read_text(encoding="utf-8")
        if not text.strip():
            raise ValueError("it is empty")
        _refuse_references(text)
        config = OmegaConf.create(yaml.load(text, Loader))
        number = config.pop("format", None) if isinstance(config, DictConfig) else None
    except (OSError, yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise ConfigError(f"{display(file)}: not readable: {_reason(error)}; restore it, or train again") from None
    if not isinstance(config, DictConfig) or not {"model", "dataset"} <= config.keys():
        raise NotARunError(f"{display(file)}: not the configuration of a run, it has no model or no dataset")
    _refuse_other_formats(number, file)
    if number == 1:
        config = _from_format_1(config)
    return config if number == FORMAT else _from_format_2(config)


def _from_format_1(config: DictConfig) -> DictConfig:
    """A configuration of format 1 with the keys of the present format: one logger with a name, no notice."""
    if isinstance(trainer := config.get("trainer"), DictConfig):
        trainer.pop("figures_every", None)
    logger = config.get("logger")
    if isinstance(cluster := config.get("cluster"), DictConfig):
        cluster.notice = 120
    name, tags = (logger.pop(key, None) if isinstance(logger, DictConfig) else None for key in ("name", "tags"))
    chosen = {"csv": name == "csv", "tensorboard": name == "tensorboard", "wandb": logger if name == "wandb" else None}
    OmegaConf.update(config, "logger", {"every": 50, "images": 10, **chosen}, merge=False, force_add=True)
    OmegaConf.update(config, "figures", ["png", "pdf"], force_add=True)
    config.update({"name": None, "tags": tags or []})
    return config


def _from_format_2(config: DictConfig) -> DictConfig:
    """A configuration of format 2 with the present keys: no step was captured, arrays had a class Npz."""
    if isinstance(trainer := config.get("trainer"), DictConfig):
        trainer.capture = False
    if config.dataset.get("_target_") == "vae_cli.datasets.Npz":
        config.dataset["_target_"] = "vae_cli.datasets.Array"
    return config


def _refuse_other_formats(number: object, file: Path) -> None:
    if type(number) is int and EARLIEST <= number <= FORMAT:
        return
    if type(number) is int and number > FORMAT:
        raise ConfigError(
            f"{display(file)}: format: {number}, but this version of vae-cli reads formats {EARLIEST} to {FORMAT}; "
            "update vae-cli (pip install --upgrade vae-cli)"
        )
    problem = "no format" if number is None else f"format: {number}"
    raise ConfigError(
        f"{display(file)}: states {problem}, but this version of vae-cli reads formats {EARLIEST} to {FORMAT}; "
        "train the model again"
    )


def _reason(error: Exception) -> str:
    """The fault of a file in one line."""
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        return f"line {mark.line + 1} is not valid YAML, {first_line(error.problem or '')}"
    return "no text in UTF-8" if isinstance(error, UnicodeDecodeError) else first_line(error)


def _refuse_references(text: str) -> None:
    """Refuse interpolations, which can read the environment, and aliases, of which a few lines can fill the memory."""
    for event in yaml.parse(text, Loader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {line} holds a YAML alias, *{event.anchor}, which no run writes")
        if isinstance(event, yaml.ScalarEvent) and "${" in event.value:
            raise ValueError(f"line {line} holds an interpolation, {event.value}, which no run writes")
