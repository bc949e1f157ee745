"""Errors of hydra, omegaconf and yaml in one line, with the place of the fault and the remedy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from hydra.core.override_parser.types import Override
from hydra.errors import MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from vae_cli.config.help import defaults
from vae_cli.config.sources import Sources
from vae_cli.config.suggest import meant_option, nearest
from vae_cli.errors import first_line
from vae_cli.runs.layout import conf_folder, display

COMMAND_LINE = "command line"
EXTRAS = {
    ("hydra/sweeper", "optuna"): "sweep",
    ("hydra/launcher", "joblib"): "sweep",
    ("hydra/launcher", "submitit_local"): "slurm",
}
"""Options of hydra's own groups that another package brings, and the extra of this package that installs it."""


@dataclass(frozen=True)
class Fault:
    """A composition that has failed: the root configuration, the folders and the overrides."""

    name: str
    sources: Sources
    overrides: Sequence[Override]

    def explain(self, error: Exception) -> str:
        """One line for an error of hydra, omegaconf or yaml."""
        if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
            return f"{display(Path(mark.name))}:{mark.line + 1}: not valid YAML: {first_line(error.problem or '')}"
        if isinstance(error, UnicodeDecodeError):
            broken = [file for file in self.sources.files() if not _readable(file)]
            return f"{', '.join(map(display, broken)) or 'a YAML file'}: not a text file in UTF-8"
        if isinstance(error, MissingConfigException):
            return self._missing(error)
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

    def _missing(self, error: MissingConfigException) -> str:
        """An option, a group or a root file that does not exist."""
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        options = list(error.options or self.sources.options(group))
        if not group:
            roots = [path.stem for path in conf_folder().glob("*.yaml")]
            near = nearest(option, roots) or f"there are {', '.join(roots)}"
            return f"{option}: no such configuration ({COMMAND_LINE}); {near}"
        chosen = [o for o in self.overrides if o.key_or_group == group and option in str(o.value())]
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


def _readable(file: Path) -> bool:
    try:
        file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True
