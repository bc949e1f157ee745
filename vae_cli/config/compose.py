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
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vae_cli.config.help import defaults
from vae_cli.config.schema import Node, TrainConfig
from vae_cli.config.settings import types_of
from vae_cli.config.sources import Sources, line_of
from vae_cli.config.suggest import meant_option, nearest
from vae_cli.errors import ConfigError, first_line
from vae_cli.runs.find import NEWEST
from vae_cli.runs.layout import conf_folder, display

COMMAND_LINE = "command line"
PLUGINS_FOLDER = str(Path(__file__).parents[1] / "plugins")
OWN_CLASS = re.compile(r"(callbacks|evaluate\.metrics|dataset\.\w+)\.")
"""Start of keys of a user's own class, which the YAML files of hydra do not have."""
EXTRAS = {
    ("hydra/sweeper", "optuna"): "sweep",
    ("hydra/launcher", "joblib"): "sweep",
    ("hydra/launcher", "submitit_local"): "slurm",
}
"""Options of hydra's own groups that another package brings, and the extra of this package that installs it."""


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
            raise ConfigError(self._explain(error, overrides)) from error

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

    def _explain(self, error: Exception, overrides: Sequence[str]) -> str:
        """One line for an error of hydra, omegaconf or yaml."""
        if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
            return f"{display(Path(mark.name))}:{mark.line + 1}: not valid YAML: {first_line(error.problem or '')}"
        if isinstance(error, UnicodeDecodeError):
            broken = [file for file in self.sources.files() if not _readable(file)]
            return f"{', '.join(map(display, broken)) or 'a YAML file'}: not a text file in UTF-8"
        if isinstance(error, MissingConfigException):
            return self._missing(error, overrides)
        text = str(error)
        if match := re.search(r"In '(.+?)': Could not override '(.+?)'", text):
            file, group = self.sources.file(match[1]), match[2].partition("@")[0]
            place = self._mention(group, "", [file] if file else [])
            problem = f"override {group}: no such group in the defaults ({place})"
            return "; ".join(filter(None, (problem, nearest(group, self.sources.groups()))))
        if match := re.search(r"Could not override '(.+?)'. No match in the defaults list", text):
            groups = list(defaults(conf_folder() / f"{self.name}.yaml"))
            if match[1] in self.sources.groups() and self.name != "train":
                has = ", ".join(groups) or "none"
                return f"{match[1]}: unknown key ({COMMAND_LINE}); groups of this command: {has}; see --help"
            near = nearest(match[1], groups) or "--help lists the groups"
            return f"{match[1]}: unknown key ({COMMAND_LINE}); {near}"
        cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
        key = getattr(cause, "full_key", None) or ""
        if match := re.search(r"Error merging override (\S+)|Could not override '(.+?)'", text):
            culprit, reason = (match[1] or match[2]).lstrip("+"), first_line(cause)
            if re.search("Cannot merge .*ListConfig", reason):
                key, _, value = culprit.partition("=")
                a_list, names = f"a list, as in {key}=[...]", f"a mapping, as in {key}.NAME=..."
                reason = f"expected {a_list if value.startswith('{') else names}"
            return f"{culprit}: {reason} ({COMMAND_LINE})"
        if match := re.search(r"In '(.+?)': ", text):
            file = self.sources.file(match[1])
            reason = first_line(text.split(match[0])[-1])
            reason = first_line(text.split("\n")[1]) if reason.endswith("composing config:") else reason
            return f"{display(file) if file else match[1]}: {reason}"
        return f"{key}: {first_line(cause)}" if key and key not in first_line(cause) else first_line(cause)

    def _missing(self, error: MissingConfigException, overrides: Sequence[str]) -> str:
        """An option, a group or a root file that does not exist."""
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        options = list(error.options or self.sources.options(group))
        if not group:
            roots = [path.stem for path in conf_folder().glob("*.yaml")]
            near = nearest(option, roots) or f"there are {', '.join(roots)}"
            return f"{option}: no such configuration ({COMMAND_LINE}); {near}"
        chosen = [o for o in parse(overrides) if o.key_or_group == group and option in str(o.value())]
        parent = re.search(r"In '(.+?)': ", str(error))
        file = self.sources.file(parent[1]) if parent else None
        place = COMMAND_LINE if chosen else self._mention(group, option, [file] if file else [])
        has = f"{group} has {', '.join(options) or 'no options'}"
        if extra := EXTRAS.get((group, option)):
            return f"{group}={option}: its plugin is not installed ({place}); pip install 'vae-cli[{extra}]'; {has}"
        meant = self._meant(group, option)
        near = f"nearest: {', '.join(meant)}" if meant else nearest(option, options, f"{group}=")
        return "; ".join(filter(None, (f"{group}={option}: no such option ({place})", near, has)))

    def _meant(self, group: str, option: str) -> list[str]:
        """The choices that an option of the field, or of another group, means."""
        if meant := meant_option(group, option):
            return [meant]
        groups = self.sources.groups() if self.name == "train" and option != "none" else []
        return [f"{other}={option}" for other in groups if option in self.sources.options(other)]

    def _mention(self, group: str, option: str, first: Sequence[Path]) -> str:
        """The file and line whose defaults name a group and an option."""
        words = r"(?:override\s+|optional\s+)*"
        entry = re.compile(rf"^\s*-\s*{words}/?{re.escape(group)}(?:@\S+)?\s*:.*{re.escape(option)}")
        for file in [*self.sources.files(), *first]:
            for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                if entry.match(line):
                    return f"{display(file)}:{number}"
        return display(first[0]) if first else COMMAND_LINE

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


def _readable(file: Path) -> bool:
    try:
        file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True
