"""The remedies that a line of refusal names, read from it and applied to the configuration it refused."""

import json
import re
from dataclasses import dataclass, replace
from random import Random

from tests.support.random_data import Kind
from tests.support.random_options import DROPPED, Combination, text
from vae_cli.config.check import check
from vae_cli.config.compose import Composer
from vae_cli.errors import ConfigError

VERBS = re.compile(r".*[;,] (?:take|choose|say|set|use|a lower|lower) (.*)")
CHOICE = re.compile(r"([a-z][\w.]*)=(\[[^\]]*\]|[^\s,;]*[^\s,;.])")
MISTYPED = re.compile(r"([a-z][\w.]*)=.*?: expected (.*?) \((?:command line|in the configuration)")
SUBJECT = re.compile(r"([a-z][\w.]*)=\S+")


@dataclass(frozen=True)
class Complaint:
    """A refusal: its message, and its rule (or the kind of its message), by which two refusals are compared."""

    rule: str
    message: str


@dataclass(frozen=True)
class Remedy:
    """One way out: options of groups to choose from, and values of keys."""

    choices: tuple[tuple[str, tuple[str, ...]], ...]
    values: tuple[tuple[str, object], ...]

    def applied(
        self, combination: Combination, random: Random, kinds: dict[str, Kind], composer: Composer
    ) -> Combination | None:
        """The combination after it, with one option of each group; None where its options need the network."""
        chosen = {group: random.choice(offered) for group, offered in self.choices if offered}
        if len(chosen) < len(self.choices):
            return None
        if chosen:
            combination = combination.with_groups(chosen, composer)
        keys: dict[str, object] = {}
        if "dataset" in chosen:
            kind = next(kind for _, kind in sorted(kinds.items()) if kind.dataset == chosen["dataset"])
            keys = kind.keys | {"dataset.batch_size": 8}
        return replace(combination, values=combination.values | keys | dict(self.values))

    def touched(self) -> set[str]:
        """The groups and keys that it changes."""
        return {key for key, _ in (*self.choices, *self.values)}

    def __str__(self) -> str:
        return " ".join([f"{g}={'|'.join(o)}" for g, o in self.choices] + [f"{k}={text(v)}" for k, v in self.values])


def static_complaint(combination: Combination, composer: Composer) -> Complaint | None:
    """The refusal of the configuration check, run in this process; None if the check passes."""
    try:
        check(combination.config(composer))
    except ConfigError as error:
        return Complaint(f"{error.rule} {error.key}" if error.rule else kind_of(str(error)), str(error))
    return None


def kind_of(message: str) -> str:
    """A message without its numbers and places."""
    return re.sub(r"\([^()]*\)|'[^']*'|\S*/\S*|-?\d[\d.e+-]*", "#", message)[:70]


def remedies(message: str, composer: Composer, kinds: dict[str, Kind], values: dict[str, object]) -> list[Remedy]:
    """The ways out that a message names, each a set of choices; empty if there are none that a program understands."""
    mistyped = MISTYPED.match(message)
    if mistyped and f"use {mistyped[1]}=" not in message:
        return [Remedy((), ((mistyped[1], _typed(mistyped[2])),))]
    named = VERBS.fullmatch(message)
    if named is None:
        return []
    subject = SUBJECT.match(message.removeprefix("vae-train: error: "))
    found = []
    for way in re.split(r",? or ", named[1]):
        choices: list[tuple[str, tuple[str, ...]]] = []
        settings: list[tuple[str, object]] = [(key, DROPPED) for key in re.findall(r"~([\w.]+)", way)]
        for key, value in CHOICE.findall(way):
            if composer.sources.options(key) and "." not in key:
                offered = tuple(option for option in value.split("|") if _is_there(key, option, kinds))
                choices.append((key, offered))
            else:
                settings.append((key, _parsed(value.split("|")[0])))
        if subject and (most := re.match(r"(?:at most )?(\d+|null)\b", way)):
            settings.append((subject[1], _parsed(most[1])))
        if least := re.match(r"([a-z]\w*\.\w+) > (\d+)", way):
            settings.append((least[1], int(least[2]) + 1))
        if "lower" in message and (lowered := re.match(r"(optimizer\.lr)\b", way)):
            settings.append((lowered[1], float(str(values.get(lowered[1], 1e-3))) / 1000))
        if choices or settings:
            found.append(Remedy(tuple(choices), tuple(settings)))
    return found


def _parsed(text: str) -> object:
    """A value as a message names it."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text[1:-1].split(",") if text.startswith("[") else text


def _typed(description: str) -> object:
    """The least value of a type that a message describes."""
    if description.startswith("a list"):
        return [_typed(one) for one in description.partition("[")[2].partition("]")[0].split(", ")]
    if one := re.match(r"one of ([\w-]+)", description):
        return one[1]
    bounds = {sign: float(bound) for sign, bound in re.findall(r"([<>]=?) (-?[\d.e-]+)", description)}
    low = bounds.get(">=", bounds.get(">", 0.0))
    if description.startswith("an integer"):
        return int(low) + (">" in bounds)
    if description.startswith("a number"):
        return low if ">=" in bounds else (low + bounds.get("<", bounds.get("<=", low + 2))) / 2
    if description.startswith("a mapping"):
        return {}
    return {"true": False, "null": None}.get(description.split()[0], "name")


def _is_there(group: str, option: str, kinds: dict[str, Kind]) -> bool:
    """False for data that are fetched, and for options whose libraries are no part of what is tried."""
    return group != "dataset" or any(kind.dataset == option for kind in kinds.values())
