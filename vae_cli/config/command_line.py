"""The command line by hydra's grammar: options, and paths, which may hold any letter. Uses hydra's private parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from vae_cli.config.compose import COMMAND_LINE, parse
from vae_cli.config.sources import Sources
from vae_cli.config.suggest import meant_key
from vae_cli.errors import ConfigError
from vae_cli.runs.find import named
from vae_cli.runs.layout import PATHS, RUNS, display
from vae_cli.runs.overrides import quote

PLAIN = re.compile(r"[\w./@%+-]*", re.ASCII)
NO_TEXT = re.compile(r"[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d+)?|[+-]?(inf|nan)|true|false", re.IGNORECASE)
"""Values that hydra reads as a number or a truth value."""
OPTIONS = "cluster.options"
"""Key whose list of options for sbatch is written without quotes."""
CHOICE = re.compile(r"(choice|shuffle|sort)\(.*\)")
"""Values that hydra reads as those of a sweep."""


def arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parsed arguments, and those that are no overrides; options may stand among the overrides."""
    options = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]

    def refuse(message: str) -> NoReturn:
        unknown = next((a for a in argv if a.startswith("-") and a.split("=")[0] not in options), "")
        if not unknown:
            raise ConfigError(f"{message} ({COMMAND_LINE}); nearest: --help")
        raise ConfigError(f"{message} ({COMMAND_LINE}); {_as_key(unknown, argv, options)}")

    parser.error = refuse
    args = parser.parse_intermixed_args(list(argv))
    return args, [argument for argument in argv if argument not in args.overrides]


def _as_key(unknown: str, argv: Sequence[str], options: Sequence[str]) -> str:
    """The remedy for an unknown option: most users mean a key."""
    word, _, value = unknown.lstrip("-").partition("=")
    alike = get_close_matches(unknown.split("=")[0], options, 1, 0.8)
    if alike:
        return f"nearest: {alike[0]}"
    following = argv[argv.index(unknown) + 1 : argv.index(unknown) + 2]
    value = value or next((text for text in following if "=" not in text and not text.startswith("-")), "")
    key = meant_key(word) or word
    example = f"{key}={value}" if value else "objective.beta=4"
    return f"keys are written without dashes, as in {example}; --help lists them"


def quoted(line: str, several: Sequence[str] = ()) -> str:
    """An override whose path is quoted, because it may hold blanks, equals signs or any letter.

    `last` and the name of a run are replaced by its folder. A comma separates the values of the keys in `several`,
    which a sweep may vary.
    The options in `cluster.options` are quoted likewise.
    """
    key, sign, value = line.partition("=")
    name = key.lstrip("+")
    if name == OPTIONS and value.lstrip("[ '\"").startswith("-"):
        return f"{key}=[{','.join(map(_literal, _options(value)))}]"
    by_hand = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
    if name not in PATHS or not sign or by_hand or "${" in value:
        return line
    if not value.strip():
        raise ConfigError(f"{key}=: needs a value ({COMMAND_LINE}); set {key}=PLACE, or leave {key} out")
    if name in several and CHOICE.fullmatch(value):
        return line
    if name in RUNS and (place := named(value)) != Path(value).expanduser().absolute():
        value = display(place)
    parts = value.split(",") if name in several else [value]
    return f"{key}={','.join(map(_literal, parts))}"


def _options(value: str) -> list[str]:
    """The options of sbatch in a value, in brackets or not; a comma within an option does not end it."""
    parts = re.split(r"\s*,\s*(?=['\"]?-)", value.strip("[] "))
    return [part.strip("'\"") for part in parts]


def _literal(path: str) -> str:
    """A path such that hydra reads it as it is."""
    if path.startswith("~/"):
        path = str(Path(path).expanduser())
    return path if PLAIN.fullmatch(path) and not NO_TEXT.fullmatch(path) else quote(path)


def with_search_path(lines: list[str], sources: Sources) -> list[str]:
    """The user's folders on hydra's search path, beside those named on the command line."""
    users = [f"vae://{folder}" for folder in sources.folders[1:]]  # as vae_cli/plugins reads them
    if not users:
        return lines
    others = []
    for override in parse(lines):
        if override.key_or_group == "hydra.searchpath":
            value: Any = override.value()
            users = [*map(str, value), *users] if isinstance(value, list) else users
        else:
            others.append(override.input_line)
    return [*others, f"hydra.searchpath=[{','.join(map(quote, users))}]"]
