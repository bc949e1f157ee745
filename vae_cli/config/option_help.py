"""The help of an option, as in `vae-train dataset=array --help`: its keys with defaults, types, ranges and comments."""

from __future__ import annotations

import re
from dataclasses import dataclass, is_dataclass
from typing import Any

from vae_cli.config.sources import Sources
from vae_cli.config.suggest import meant_option, nearest
from vae_cli.errors import ConfigError

ENTRY = re.compile(r"^( *)([\w.]+): *((?:[^#]|#(?<! #))*?) *(?:# *(.*))?$")
CHOICE = re.compile(r"^ +- +override +/?([\w/]+): *(\S+)", re.M)
BASE = re.compile(r"^ +- +(?!_self_)(\w+) *$", re.M)


@dataclass(frozen=True)
class Key:
    """A key of an option as its file sets it."""

    default: str
    comment: str


def option(sources: Sources, group: str, name: str) -> list[tuple[str, str]]:
    """Rows of an option: key and default; type, range and comment.

    Raises:
        ConfigError: The group has no such option.
    """
    options = sources.options(group)
    if name not in options:
        meant = meant_option(group, name)
        near = f"nearest: {meant}" if meant else nearest(name, options, f"{group}=")
        near = near or f"{group} has {', '.join(options)}"
        raise ConfigError(f"{group}={name}: no such option; {near}", key=group)
    found, chosen = keys(sources, group, name)
    targets = {key.rpartition(".")[0]: one.default for key, one in found.items() if key.endswith("._target_")}
    rows = []
    for key, one in found.items():
        place, _, last = key.rpartition(".")
        if last == "_target_":
            continue
        kind = _type(targets.get(place), key)
        default = "..." if one.default == "???" else one.default
        rows.append((f"{key}={default}", _words(kind, one.comment)))
    return [*rows, *((f"{other}={its}", "chosen with it") for other, its in chosen.items())]


def keys(sources: Sources, group: str, name: str) -> tuple[dict[str, Key], dict[str, str]]:
    """The keys of an option and its bases, and the options of other groups that it chooses."""
    file = sources.file(f"{group}/{name}")
    text = file.read_text(encoding="utf-8-sig") if file else ""
    head, _, defaults = text.partition("defaults:\n")
    listed = re.match(r"(?: +-.*\n?)*", defaults)
    lists = listed[0] if listed else ""
    found: dict[str, Key] = {}
    for base in BASE.findall(lists):
        found |= keys(sources, group, base)[0]
    found |= entries(head + defaults[len(lists) :], "" if "@package _global_" in text else f"{group}.")
    return found, dict(CHOICE.findall(lists))


def entries(text: str, prefix: str) -> dict[str, Key]:
    """The keys that lines of YAML set, by their dotted names."""
    found: dict[str, Key] = {}
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        entry = ENTRY.match(line)
        if entry is None:
            continue
        depth, name, value, comment = len(entry[1]), entry[2], entry[3], entry[4] or ""
        parents = [parent for parent in parents if parent[0] < depth]
        if value:
            found[prefix + ".".join([*(parent for _, parent in parents), name])] = Key(value, comment)
        else:
            parents.append((depth, name))
    return found


def _words(kind: str, comment: str) -> str:
    """The type and the comment; the comment alone where it has all choices of the type."""
    choices = kind.removeprefix("one of ").split(", ") if kind.startswith("one of ") else []
    repeated = choices and all(choice in comment for choice in choices)
    return "; ".join(filter(None, ("" if repeated else kind, comment)))


def _type(target: str | None, key: str) -> str:
    """The type and range of a key in words; empty where they are not known."""
    from vae_cli.config import annotations, signatures

    if target is None:
        kind = _annotation(key)
        return "" if kind is None else annotations.describe(kind)
    try:
        parameter = signatures.read(target.strip("'\"")).parameters.get(key.rpartition(".")[2])
    except LookupError:
        return ""
    return annotations.describe(parameter.annotation) if parameter else ""


def _annotation(key: str) -> Any:
    """The annotation of a key of the schema."""
    from vae_cli.config.annotations import members
    from vae_cli.config.schema import TrainConfig
    from vae_cli.config.settings import types_of

    kind: Any = TrainConfig
    for name in key.split("."):
        schema = next((one for one in members(kind) if is_dataclass(one) and isinstance(one, type)), None)
        kind = types_of(schema).get(name, (None, None))[0] if schema else None
    return kind
