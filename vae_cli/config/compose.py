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
from vae_cli.config.sources import Sources
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
            if not isinstance(override.value(), str | list) and not override.is_delete():
                has = ", ".join(self.sources.options(override.key_or_group))
                problem = f"{override.input_line}: not the name of an option ({COMMAND_LINE})"
                raise ConfigError(f"{problem}; {override.key_or_group} has {has}")
        try:
            return hydra.compose(self.name, lines, return_hydra_config=True)
        except (yaml.YAMLError, HydraException, OmegaConfBaseException, ValueError, TypeError, AssertionError) as error:
            raise ConfigError(Fault(self.name, self.sources, parse(overrides)).explain(error)) from error

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


def line_of(file: Path, key: str, package: str = "") -> int | None:
    """The line of a YAML file that sets a dotted key, the file's content being mounted at `package`."""
    package = "" if package == "_global_" else package
    if package and key != package and not key.startswith(f"{package}."):
        return None
    parts = [part for part in key[len(package) :].split(".") if part]
    node = yaml.compose(file.read_text(encoding="utf-8"))
    line = node.start_mark.line + 1 if node is not None else 1
    for part in parts:
        if not isinstance(node, yaml.MappingNode):
            return None
        found = [(name, value) for name, value in node.value if name.value == part]
        if not found:
            return None
        line, node = found[-1][0].start_mark.line + 1, found[-1][1]
    return line


def _as_value(word: str) -> str:
    """The remedy for a word that stands alone: it is an option of a group, or a run."""
    sources = Sources.find()
    if choices := [f"{group}={word}" for group in sources.groups() if word in sources.options(group)]:
        return f"use {' or '.join(choices)}"
    if word == NEWEST or Path(word).is_dir():
        return f"use run={word}, or resume={word} to train on"
    return "see --help"
