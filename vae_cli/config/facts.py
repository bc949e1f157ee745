"""The facts of a configuration that rules are about, and the two kinds of rule that many groups share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vae_cli.config import signatures
from vae_cli.config.sources import Sources

Rule = Callable[["ConfigView"], str | None]


@dataclass(frozen=True)
class ConfigView:
    """A checked configuration as plain containers; `where` tells where a key is set."""

    config: dict[str, Any]
    where: Callable[[str], str]

    def constant(self, group: str, name: str, default: Any = None) -> Any:
        """A class constant of the class that a group's node names; the default where the group is null."""
        if self.config.get(group) is None:
            return default
        return signatures.read(self.config[group]["_target_"]).constants.get(name, default)

    def name(self, group: str) -> str:
        """A group's class and where it is chosen."""
        target = self.config[group]["_target_"]
        return f"{group} {target.rpartition('.')[2]} ({self.where(f'{group}._target_')})"

    def domain(self) -> str | None:
        """Where the entries of x live after binarisation."""
        return "binary" if self.binarize() != "none" else self.stored()

    def binarize(self) -> str:
        """How x is made binary."""
        return self.config["dataset"].get("binarize", "none")

    def stored(self) -> str | None:
        """Where the entries of x live before binarisation."""
        return self.config["dataset"].get("domain") or self.constant("dataset", "domain")


def options(group: str, constant: str, fits: Callable[[Any], bool]) -> str:
    """`group=a|b`: the options whose class has a fitting constant; an option without a class has None."""
    sources, found = Sources.find(), []
    for option in sources.options(group):
        file = sources.file(f"{group}/{option}")
        target = re.search(r"^\s*_target_:\s*[\"']?([\w.]+)", file.read_text(encoding="utf-8"), re.M) if file else None
        try:
            if fits(signatures.read(target[1]).constants.get(constant) if target else None):
                found.append(option)
        except LookupError:
            continue  # an option that its own check refuses
    return f"{group}={'|'.join(found)}"


@dataclass(frozen=True)
class Need:
    """A rule: where the class of `group` has a true constant `needs`, that of `other` has a true constant `has`.

    `why` and `lacks` complete the two names to a sentence.
    """

    group: str
    needs: str
    why: str
    other: str
    has: str
    lacks: str = "has none"

    def __call__(self, facts: ConfigView) -> str | None:
        """The fault, or None."""
        if not facts.constant(self.group, self.needs) or facts.constant(self.other, self.has):
            return None
        having = options(self.other, self.has, bool)
        modest = options(self.group, self.needs, lambda needed: not needed)
        return f"{facts.name(self.group)} {self.why}, {facts.name(self.other)} {self.lacks}; take {having} or {modest}"


@dataclass(frozen=True)
class InUse:
    """A rule: `group` is chosen where the class of `other` has a true constant `needs`, and only there.

    `wants` and `idle` complete the names to sentences.
    """

    group: str
    other: str
    needs: str
    wants: str
    idle: str

    def __call__(self, facts: ConfigView) -> str | None:
        """The fault, or None."""
        needed, given = bool(facts.constant(self.other, self.needs)), facts.config.get(self.group) is not None
        if needed == given:
            return None
        others = options(self.other, self.needs, lambda needs: bool(needs) == given)
        if needed:
            choices = "|".join(option for option in Sources.find().options(self.group) if option != "none")
            return f"{facts.name(self.other)} {self.wants}; take {self.group}={choices} or {others}"
        return f"{facts.name(self.group)} {self.idle} {facts.name(self.other)}; take {others} or {self.group}=none"
