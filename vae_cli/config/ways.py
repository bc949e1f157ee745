"""The ways out of a refusal: of the options that a rule names, those after which no rule refuses anything new."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from functools import cache
from itertools import product
from typing import Any

from omegaconf import OmegaConf

from vae_cli.config.help import defaults
from vae_cli.config.rules import RULES
from vae_cli.config.rules.capabilities import capabilities, unmet
from vae_cli.config.schema import Node, TrainConfig
from vae_cli.config.sources import Sources
from vae_cli.config.view import ConfigView, Refusal, Rule

Accepts = Callable[[str], bool]
"""True for a key, or a group, that a command accepts."""
Fault = tuple[Rule, str]
"""A rule that refuses a configuration, and the key of its refusal."""
CHOICE = re.compile(r"([a-z][\w.]*)=(\[[^\]]*\]|[^\s,;]+)")


def passable(rule: Rule, refusal: Refusal, config: TrainConfig, accepts: Accepts) -> Refusal:
    """A refusal with the ways out whose keys the command accepts; ways to another refusal only if there are no others.

    A way is text with one or more KEY=VALUE or GROUP=OPTION|OPTION.
    """
    ways = [way for way in refusal.ways if way and all(accepts(key) for key, _ in CHOICE.findall(way))]
    others = faults(config) - {(rule, refusal.key)}
    passing = list(filter(None, (narrowed(way, config, refusal.key.split("."), others) for way in ways)))
    return replace(refusal, ways=tuple(passing or ways))


def faults(config: TrainConfig) -> set[Fault]:
    """All that the rules refuse."""
    view = ConfigView(config, lambda _: "")
    found = {(rule, refusal.key) for rule in RULES if (refusal := rule(view))}
    return found | {(capabilities, refusal.key) for refusal in unmet(view)}


def narrowed(way: str, config: TrainConfig, kept: Sequence[str], others: set[Fault]) -> str:
    """A way with its options after which all refusals are among `others`; empty if there are none."""
    choices = [(key, values.split("|")) for key, values in CHOICE.findall(way)]
    keys = [key for key, _ in choices]
    starts = (config, without_presets(config, keys, kept))
    passing = [
        chosen
        for chosen in product(*(values for _, values in choices))
        if any(faults(changed(start, dict(zip(keys, chosen, strict=True)))) <= others for start in starts)
    ]
    for position, (key, values) in enumerate(choices):
        left = [value for value in values if any(chosen[position] == value for chosen in passing)]
        way = way.replace(f"{key}={'|'.join(values)}", f"{key}={'|'.join(left)}")
    return way if passing else ""


def changed(config: TrainConfig, choices: Mapping[str, str]) -> TrainConfig:
    """A configuration with other options of groups, and then other values of keys."""
    for key, value in sorted(choices.items(), key=lambda one: "." in one[0]):
        group, _, name = key.partition(".")
        node = getattr(config, group, None)
        if not name:
            config = with_option(config, group, value)
        elif isinstance(node, Node) and name in node.arguments:
            config = replace(config, **{group: Node(node.target, node.arguments | {name: _parsed(value)})})
        elif is_dataclass(node) and not isinstance(node, type) and name in vars(node):
            config = replace(config, **{group: replace(node, **{name: _parsed(value)})})
    return config


def without_presets(config: TrainConfig, groups: Sequence[str], kept: Sequence[str]) -> TrainConfig:
    """A configuration where the options that presets of `groups` may have chosen, but for `kept`, are the defaults."""
    sources, start = Sources.find(), config
    usual = defaults(sources.folders[0] / "train.yaml")
    for group in groups:
        for option in sources.options(group):
            chosen = _read(f"{group}/{option}")[0] if _chooses(start, group, option) else {}
            for other, its in chosen.items():
                if other not in kept and _chooses(start, other, its):
                    config = with_option(config, other, usual[other] or "none")
    return config


def _chooses(config: TrainConfig, group: str, option: str) -> bool:
    """True if a group has the class of an option."""
    node, values = getattr(config, group, None), _read(f"{group}/{option}")[2].get(group)
    return isinstance(node, Node) and isinstance(values, dict) and values.get("_target_") == node.target


def with_option(config: TrainConfig, group: str, option: str) -> TrainConfig:
    """A configuration with an option, and with the options of other groups that it chooses."""
    chosen, bases, content = _read(f"{group}/{option}")
    for other, its in chosen.items():
        config = with_option(config, other, its)
    for base in bases:
        config = with_option(config, group, base)
    for name, values in content.items():
        node = getattr(config, name, None)
        if isinstance(values, dict) and "_target_" in values:
            arguments = {key: value for key, value in values.items() if key != "_target_"}
            config = replace(config, **{name: Node(values["_target_"], arguments)})
        elif isinstance(values, dict) and isinstance(node, Node):
            config = replace(config, **{name: Node(node.target, node.arguments | values)})
        elif isinstance(values, dict) and is_dataclass(node) and not isinstance(node, type):
            config = replace(config, **{name: replace(node, **{k: v for k, v in values.items() if k in vars(node)})})
        elif values is None and name in vars(config):
            config = replace(config, **{name: None})
    return config


@cache
def _read(option: str) -> tuple[dict[str, str], list[str], dict[str, Any]]:
    """The options of other groups that an option, as in model/vae, chooses, its bases, and its content by group."""
    file = Sources.find().file(option)
    if file is None:
        return {}, [], {}
    text = file.read_text(encoding="utf-8-sig")
    content: Any = OmegaConf.to_container(OmegaConf.create(text))
    entries = content.pop("defaults", [])
    overrides = OmegaConf.merge({}, *(entry for entry in entries if isinstance(entry, dict)))
    chosen = {str(name).removeprefix("override /"): str(option) for name, option in overrides.items()}
    bases = [entry for entry in entries if isinstance(entry, str) and entry != "_self_"]
    whole = re.search(r"^# *@package _global_", text, re.M)
    return chosen, bases, content if whole else {file.parent.name: content}


def _parsed(text: str) -> Any:
    """A value as hydra reads it, as far as a way out names such values."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
