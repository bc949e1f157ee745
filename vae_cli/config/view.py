"""A view of a checked configuration for rules: statements of the chosen classes, and options that fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vae_cli.config import signatures
from vae_cli.config.schema import Node, TrainConfig
from vae_cli.config.signatures import Signature
from vae_cli.config.sources import Sources


@dataclass(frozen=True)
class Refusal:
    """A fault of a configuration.

    Args:
        key: the key at fault, or the pair of groups, as in objective.posterior
        problem: one line without the ways out
        ways: the ways out, each one or more KEY=VALUE or GROUP=OPTION|OPTION; empty ones are left out
    """

    key: str
    problem: str
    ways: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The problem, and the ways out."""
        ways = " or ".join(filter(None, self.ways))
        return f"{self.problem}; use {ways}" if ways else self.problem


@dataclass(frozen=True)
class ConfigView:
    """A checked configuration; `where` tells where a key is set."""

    config: TrainConfig
    where: Callable[[str], str]

    def groups(self) -> list[str]:
        """The groups for which a class is chosen."""
        return [name for name, node in vars(self.config).items() if isinstance(node, Node)]

    def argument(self, key: str) -> Any:
        """The value of an argument such as `dataset.domain`; None where the group's class has no such argument."""
        group, _, name = key.partition(".")
        node: Node | None = getattr(self.config, group)
        return node.arguments[name] if node and name in node.arguments else None

    def signature(self, group: str) -> Signature | None:
        """The signature of a group's class; None where the group is null."""
        node = getattr(self.config, group)
        return None if node is None else signatures.read(node.target)

    def provides(self, group: str) -> tuple[str, ...]:
        """The capabilities of a group's class; none where the group is null."""
        signature = self.signature(group)
        return signature.provides if signature else ()

    def requires(self, group: str) -> dict[str, tuple[str, ...]]:
        """By group, the capabilities that a group's class requires."""
        signature = self.signature(group)
        return signature.requires if signature else {}

    def constant(self, group: str, name: str, default: Any = None) -> Any:
        """A class constant of a group's class; the default where there is none."""
        signature = self.signature(group)
        return signature.constants.get(name, default) if signature else default

    def name(self, group: str) -> str:
        """A group's class, or none, and the place of the choice."""
        node = getattr(self.config, group)
        if node is None:
            return f"{group}=none ({self.where(group)})"
        return f"{group} {node.name} ({self.where(f'{group}._target_')})"

    def domain(self) -> str | None:
        """The domain of the entries of x after binarisation."""
        return "binary" if self.binarize() != "none" else self.stored()

    def binarize(self) -> str:
        """The way in which x is made binary."""
        return self.argument("dataset.binarize") or "none"

    def stored(self) -> str | None:
        """The domain of the entries of x before binarisation."""
        return self.argument("dataset.domain") or self.constant("dataset", "domain")


Rule = Callable[[ConfigView], Refusal | None]


def options(group: str, fits: Callable[[Signature | None], bool]) -> str:
    """`group=a|b`: the options whose class fits, None being that of an option without a class; empty if none fits."""
    sources, found = Sources.find(), []
    for option in sources.options(group):
        file = sources.file(f"{group}/{option}")
        target = _target(file) if file else None
        try:
            if fits(signatures.read(target) if target else None):
                found.append(option)
        except LookupError:
            continue  # an option that its own check refuses
    return f"{group}={'|'.join(found)}" if found else ""


@cache
def _target(file: Path) -> str | None:
    found = re.search(r"^\s*_target_:\s*[\"']?([\w.]+)", file.read_text(encoding="utf-8"), re.M)
    return found[1] if found else None


def providing(group: str, *words: str) -> str:
    """The options whose class provides all the words."""
    return options(group, lambda other: other is not None and set(words) <= {*other.provides})


def lacking(group: str, word: str) -> str:
    """The options whose class does not provide the word."""
    return options(group, lambda other: other is None or word not in other.provides)


def stating(group: str, constant: str, fits: Callable[[Any], bool]) -> str:
    """The options whose class constant fits; an absent constant is ()."""
    return options(group, lambda other: other is not None and fits(other.constants.get(constant, ())))
