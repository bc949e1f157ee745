"""overrides.yaml: the overrides of a run, which name its presets too, in a sweep those of its job; and its options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vae_cli.runs.atomic_files import write_text_atomically

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster: a sweep has hundreds of files
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
PRESETS = ("experiment", "sweep", "hparams_search", "debug")
"""Groups whose options set keys of many groups."""
REQUESTS = ("resume", "ckpt", "reproduce")
"""Keys that ask for a start from an earlier run and are no settings of the run."""


@dataclass(frozen=True)
class Typed:
    """The command line of a run.

    Args:
        overrides: as typed; those of a resumption replace earlier ones of their keys
        options: the option of each group, typed or by default; empty for a folder of format 1
    """

    overrides: list[str]
    options: dict[str, str] = field(default_factory=dict)

    def resumed(self, overrides: Sequence[str]) -> Typed:
        """With the overrides of a resumption.

        >>> Typed(["seed=1", "trainer.max_epochs=3"]).resumed(["++trainer.max_epochs=4", "resume=last"]).overrides
        ['seed=1', 'trainer.max_epochs=4']
        """
        added = [line for line in overrides if line not in self.overrides and key_of(line) not in REQUESTS]
        new = {key_of(line): line.removeprefix("++") for line in added}
        kept = [new.pop(key_of(line), line) for line in self.overrides]
        return Typed([*kept, *new.values()], self.options)


def read(file: Path) -> Typed:
    """The command line, empty where there is no file; `damaged` in place of overrides that are not readable."""
    if not file.exists():
        return Typed([])
    try:
        content: Any = yaml.load(file.read_text(encoding="utf-8"), Loader)
        content = content if isinstance(content, dict) else {"overrides": content}
        options = content.get("options") or {}
        return Typed([str(line) for line in content["overrides"]], {str(k): str(v) for k, v in options.items()})
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError):
        return Typed(["damaged"])


def write(typed: Typed, file: Path) -> None:
    """Write the command line."""
    content = {"overrides": typed.overrides, "options": typed.options}
    write_text_atomically(file, yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True))


def options_of(choices: Mapping[str, Any]) -> dict[str, str]:
    """The options among hydra's choices, which name its own groups too."""
    return {group: name for group, name in choices.items() if isinstance(name, str) and not group.startswith("hydra/")}


def presets(overrides: Sequence[str]) -> list[str]:
    """The overrides that choose a preset, as in experiment=vade_paper.

    >>> presets(["experiment=vade_paper", "seed=1"])
    ['experiment=vade_paper']
    """
    return [line for line in overrides if key_of(line) in PRESETS]


def key_of(override: str) -> str:
    """The key or group that an override sets."""
    return override.partition("=")[0].lstrip("+~")


def quote(value: str, sign: str = "'") -> str:
    """Text in quotes, by hydra's grammar."""
    escaped = re.sub(rf"(\\*)({sign}|\Z)", lambda match: 2 * match[1] + f"\\{sign}" * bool(match[2]), value)
    return f"{sign}{escaped}{sign}"


def shell_list(key: str, names: Sequence[str]) -> str:
    """An override with a list of texts, as a shell takes it.

    >>> print(shell_list("dataset.columns", ["age", "height (cm)", "2019"]))
    'dataset.columns=[age,"height (cm)","2019"]'
    """
    plain = re.compile(r"(?!(null|true|false|nan|inf)$)[a-z_][\w.-]*", re.ASCII | re.IGNORECASE)
    return shlex.quote(f"{key}=[{','.join(name if plain.fullmatch(name) else quote(name, chr(34)) for name in names)}]")
