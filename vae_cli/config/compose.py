"""Composition by hydra's compose API, with errors of one line that name the place of the fault."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vae_cli.config.composition_errors import COMMAND_LINE, Fault
from vae_cli.config.schema import Node, TrainConfig
from vae_cli.config.settings import types_of
from vae_cli.config.sources import Sources, line_of
from vae_cli.errors import ConfigError
from vae_cli.runs.find import NEWEST
from vae_cli.runs.layout import conf_folder, display

PLUGINS_FOLDER = str(Path(__file__).parents[1] / "plugins")
OWN_CLASS = re.compile(r"(callbacks|evaluate\.metrics|dataset\.\w+)\.")
"""Start of keys of a user's own class, which the YAML files of hydra do not have."""


@contextmanager
def session() -> Iterator[None]:
    """Hydra on our configuration folder; afterwards hydra.main finds it uninitialised."""
    if PLUGINS_FOLDER not in sys.path:
        sys.path.append(PLUGINS_FOLDER)  # where hydra finds our launchers when it looks for plugins, which it does once
    with hydra.initialize_config_dir(str(conf_folder()), job_name="vae-train", version_base="1.3"):
        yield


def parse(overrides: Sequence[str]) -> list[Override]:
    """Overrides by hydra's grammar."""
    loader = GlobalHydra.instance().config_loader() if GlobalHydra.instance().is_initialized() else None
    try:
        return [_parsed(line, loader) for line in overrides]
    except OverrideParseException as error:
        if re.search(r",\s*[\]})]", error.override):
            hint = "remove the comma before the closing bracket"
            raise ConfigError(f"{error.override}: a comma that nothing follows ({COMMAND_LINE}); {hint}") from None
        if "=" not in error.override and not error.override.startswith("~"):
            problem = f"{error.override}: not of the form key=value, without blanks ({COMMAND_LINE})"
            raise ConfigError(f"{problem}; {_as_value(error.override)}") from None
        reason = str(error).split("\n")[0].removeprefix(f"Error parsing override '{error.override}'")
        reason = reason or str(error).split("\n")[1]
        if reason.startswith("LexerNoViableAltException"):
            reason = "holds a letter that only a quoted value may hold"
        hint = "a value with spaces, brackets or commas needs quotes: key='\"a value\"'"
        raise ConfigError(f"{error.override}: {reason.strip()} ({COMMAND_LINE}); {hint}") from None


@lru_cache(maxsize=4096)
def _parsed(override: str, loader: ConfigLoader | None) -> Override:
    """An override; the jobs of a sweep share most of theirs, and hydra takes a millisecond for each."""
    return OverridesParser.create(config_loader=loader).parse_overrides([override])[0]


@dataclass(frozen=True)
class Composer:
    """Composes one root configuration, `name`, from our folder and the user's."""

    name: str
    sources: Sources

    @classmethod
    def of(cls, settings: Any) -> Composer:
        """The composer that has made a configuration with this hydra node."""
        files = (Path(source.path) for source in settings.runtime.config_sources if source.schema in ("file", "vae"))
        return cls(settings.job.config_name, Sources(tuple(files)))

    def is_group(self, override: Override) -> bool:
        """True if the override chooses an option of a group."""
        return any((folder / override.key_or_group).is_dir() for folder in self.sources.folders)

    def tidy(self, overrides: Sequence[str]) -> list[str]:
        """`+experiment=x` is `experiment=x`: our groups are in the defaults list; keys of a user's class are added."""
        lines = []
        for override in parse(overrides):
            line = override.input_line or ""
            if self.is_group(override):
                line = line.lstrip("+")
            elif override.type is OverrideType.CHANGE and OWN_CLASS.match(override.key_or_group):
                line = f"++{line}"
            lines.append(line)
        return lines

    def forced(self, overrides: Sequence[str]) -> list[str]:
        """Overrides that set unknown keys too: our check names the nearest key, hydra does not."""
        lines = []
        for override, line in zip(parse(overrides), overrides, strict=True):
            ours = not (override.is_hydra_override() or override.key_or_group == "hydra" or self.is_group(override))
            lines.append(f"++{line}" if ours and override.type is OverrideType.CHANGE else line)
        return lines

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration with its hydra node; any fault of files or overrides is a ConfigError."""
        lines = self.forced(overrides)
        for override in filter(self.is_group, parse(overrides)):
            self._check_choice(override)
        try:
            return hydra.compose(self.name, lines, return_hydra_config=True)
        except (yaml.YAMLError, HydraException, OmegaConfBaseException, ValueError, TypeError, AssertionError) as error:
            raise ConfigError(Fault(self.name, self.sources, parse(overrides)).explain(error)) from error

    def _check_choice(self, override: Override) -> None:
        """Refuse a choice that is no name; and several of a group whose options each name a class."""
        group, value = override.key_or_group, override.value()
        several = isinstance(value, list)
        names: list[Any] = value if several else [value]
        if not override.is_delete() and not all(isinstance(name, str) for name in names):
            problem = f"{override.input_line}: not the name of an option ({COMMAND_LINE})"
            raise ConfigError(f"{problem}; {group} has {', '.join(self.sources.options(group))}")
        if several and types_of(TrainConfig).get(group, ("",))[0] in (Node, Node | None):
            one = f"use one of them, or -m {group}={','.join(names)} for a sweep"
            raise ConfigError(f"{override.input_line}: {group} takes one option ({COMMAND_LINE}); {one}")

    def where(self, overrides: Sequence[str], key: str) -> str:
        """The place where a dotted key of the configuration is set: the command line, or a file and line."""
        for override in parse(overrides):
            name = override.key_or_group
            if not self.is_group(override) and (f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.")):
                return COMMAND_LINE
        loader = GlobalHydra.instance().config_loader()
        defaults = loader.compute_defaults_list(self.name, self.forced(overrides), RunMode.RUN).defaults
        while key:
            for default in reversed(defaults):
                file = self.sources.file(default.config_path or "")
                if file and (line := line_of(file, key, default.package or "")):
                    return f"{display(file)}:{line}"
            key = key.rpartition(".")[0]
        return display(conf_folder() / f"{self.name}.yaml")


def show_typed(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Let the hydra node of a configuration show these overrides as those of its job."""
    job, typed = config.hydra.job, [o for o in overrides if not o.is_hydra_override()]
    config.hydra.overrides.task = [o.input_line for o in typed]
    job.override_dirname = get_overrides_dirname(overrides=typed, **job.config.override_dirname)


def _as_value(word: str) -> str:
    """The remedy for a word that stands alone: it is an option of a group, or a run."""
    sources = Sources.find()
    if choices := [f"{group}={word}" for group in sources.groups() if word in sources.options(group)]:
        return f"use {' or '.join(choices)}"
    if word == NEWEST or Path(word).is_dir():
        return f"use run={word}, or resume={word} to train on"
    return "see --help"
