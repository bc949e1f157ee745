"""A configuration as the dataclasses of its schema, without torch: names, types and ranges."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from omegaconf import DictConfig

from vae_cli.config import modules, signatures
from vae_cli.config.annotations import choices, describe, fits, is_opaque, listed, members
from vae_cli.config.command_schemas import RunCommandConfig
from vae_cli.config.compose import COMMAND_LINE
from vae_cli.config.option_help import keys as option_keys
from vae_cli.config.resolved import leaves, resolved
from vae_cli.config.schema import Node, TrainConfig
from vae_cli.config.settings import types_of
from vae_cli.config.sources import Sources, find_plugins, plugins
from vae_cli.config.suggest import meant_key, nearest, similar
from vae_cli.config.ways import Accepts
from vae_cli.errors import ConfigError

FEW = 20
"""A message lists so many keys at most beside the nearest."""
S = TypeVar("S")
Where = Callable[[str], str]
"""Tells where a dotted key is set: the command line, or a file and line."""


def parsed_as(
    schema: type[S],
    config: DictConfig,
    where: Where = lambda _: "in the configuration",
    accepts: Accepts = lambda _: True,
) -> S:
    """The configuration as an instance of its schema, its combination unchecked, as for a run that exists.

    Raises ConfigError for the first key that is unknown, missing, mistyped or out of range.
    """
    find_plugins()
    return _Parser(where, schema, accepts).root(config)


@dataclass
class _Parser:
    """One pass over a configuration."""

    where: Where
    schema: type
    accepts: Accepts
    known: list[str] = dataclasses.field(default_factory=list)

    def root(self, config: DictConfig) -> Any:
        plain = resolved(config, self.fail)
        self.known = leaves(plain)
        self.targets("", plain)
        return self.fields("", plain, self.schema)

    def fail(self, key: str, problem: str, hint: str = "", value: Any = dataclasses.MISSING) -> NoReturn:
        shown = key if value is dataclasses.MISSING else f"{key}={_text(value)}"
        raise ConfigError(f"{shown}: {problem} ({self.where(key)}){'; ' if hint else ''}{hint}", key=key)

    def targets(self, key: str, value: Any) -> None:
        """Refuse classes of other packages, at any depth: a configuration may come from anyone."""
        if isinstance(value, list):
            for item in value:
                self.targets(key, item)
        if not isinstance(value, dict):
            return
        if "_target_" in value and not str(value["_target_"]).startswith(allowed()):
            packages = ", ".join(prefix.rstrip(".") for prefix in allowed())
            self.fail(
                _join(key, "_target_"),
                f"only classes of {packages} may be named",
                "your own package: export VAE_PLUGINS=package",
                value["_target_"],
            )
        if "_target_" in value:
            self.signature(key, value["_target_"])
        if "_args_" in value:
            self.fail(_join(key, "_args_"), "unknown key", "arguments are given by name")
        for name, item in value.items():
            self.targets(_join(key, name), item)

    def signature(self, key: str, target: Any) -> signatures.Signature:
        """The signature of the class that a node names; functions and imported names of other packages have none."""
        try:
            return signatures.read(str(target))
        except LookupError as error:
            path, _, name = str(target).rpartition(".")
            names = modules.class_names(path)
            hint = "" if name in names else nearest(name, names, f"{path}.")
            if str(error).startswith("'there is no package"):
                hint = "put it into the working directory or beside vae_conf, or set PYTHONPATH to its folder"
            self.fail(_join(key, "_target_"), str(error.args[0]), hint, target)

    def fields(self, key: str, value: Any, schema: type) -> Any:
        """The dataclass for a mapping."""
        annotations = _hints(schema)
        if not isinstance(value, dict):
            self.fail(key, f"expected a mapping of {', '.join(annotations)}", value=value)
        return schema(**self.keys(key, value, annotations, _required(schema)))

    def keys(
        self, key: str, value: dict[str, Any], annotations: dict[str, Any], required: dict[str, bool]
    ) -> dict[str, Any]:
        """Refuse unknown keys and missing keys; parse each value."""
        for name in value:
            if name not in annotations:
                self.unknown(key, str(name), list(annotations))
        for name, needed in required.items():
            if needed and name not in value:
                options = Sources.find().options(name) if not key else []
                expected = f"{name} has {', '.join(options)}" if options else f"expected {describe(annotations[name])}"
                group, _, option = key.partition(".")
                if option in Sources.find().options(group):
                    expected = f"use {group}={option}"
                self.fail(_join(key, name), "missing", expected)
        return {name: self.value(_join(key, name), item, annotations[name]) for name, item in value.items()}

    def unknown(self, key: str, name: str, names: list[str]) -> NoReturn:
        trains = self.schema is TrainConfig
        options = names if key or not trains else sorted({*names, *Sources.find().groups()})
        has = f"{key or 'the top level'} has {', '.join(options) or 'no keys'}"
        if holders := self.holders(key, name):
            typed = self.where(_join(key, name)) == COMMAND_LINE
            ways = f"{'' if typed else f'~{_join(key, name)} or '}{key}={'|'.join(holders)}"
            self.fail(_join(key, name), "unknown key", f"use {ways}, which has it ({has})")
        near = list(filter(self.accepts, self.near(key, name, options)))
        if not near and issubclass(self.schema, RunCommandConfig) and (key or name) in _hints(TrainConfig):
            self.fail(_join(key, name), "unknown key", f"the run keeps what it was trained with ({has})")
        has = "--help lists the groups" if len(options) > FEW else has
        self.fail(_join(key, name), "unknown key", f"nearest: {', '.join(near)} ({has})" if near else has)

    def holders(self, key: str, name: str = "") -> list[str]:
        """The other options of a group that have this key; none if a file of the group itself sets it."""
        sources = Sources.find()
        own = key and Path(self.where(_join(key, name))).parent.name == key
        if own or issubclass(self.schema, RunCommandConfig) or not self.accepts(key):
            return []
        return [one for one in sources.options(key) if _join(key, name) in option_keys(sources, key, one)[0]]

    def near(self, key: str, name: str, options: list[str]) -> list[str]:
        """The keys that an unknown one may mean: by its last part, by a name of the field, by resemblance."""
        leaves = {leaf.rpartition(".")[2]: leaf for leaf in reversed(self.known) if leaf != _join(key, name)}
        meant = meant_key(name) if self.schema is TrainConfig else None
        here = meant in self.known and (not key or str(meant).startswith(f"{key}."))
        if name in leaves and not here:
            return [leaf for leaf in self.known if leaf.endswith(f".{name}") and leaf != _join(key, name)][:2]
        if meant and (meant in self.known or "." not in meant or meant.startswith("hydra.")):
            return [meant]
        if own := similar(name, options):
            return [_join(key, match) for match in own]
        return [] if key else [leaves[match] for match in similar(name, list(leaves))]

    def value(self, key: str, value: Any, annotation: Any) -> Any:
        """The value that has the annotation's type."""
        kinds = members(annotation)
        if value == {} and Node in kinds and type(None) in kinds:
            return None
        if annotation == dict[str, Node]:
            return self.plugins(key, value)
        schemas: list[Any] = [kind for kind in kinds if kind is not Node and dataclasses.is_dataclass(kind)]
        if (Node in kinds and value is not None) or (isinstance(value, dict) and "_target_" in value):
            return self.node(key, value, annotation, whole=Node not in kinds)
        if schemas and not (value is None and type(None) in kinds):
            return self.fields(key, value, schemas[0])
        if not fits(value, annotation):
            named = choices(annotation)
            hint = f"use {key}={named[0]}" if len(named) == 1 else nearest(str(value), named, f"{key}=")
            if known := listed(annotation):
                given = value if isinstance(value, list) else [value]
                hint = f"use {key}=[{','.join(one for one in known if one in given) or known[0]}]"
            meant = [value], int(value) if isinstance(value, float) and value.is_integer() else value
            hint = next((f"use {key}={_text(one)}" for one in meant if fits(one, annotation)), hint)
            self.fail(key, f"expected {describe(annotation)}", hint, value)
        return value

    def plugins(self, key: str, value: Any) -> dict[str, Node]:
        """Classes of the user's own by name; null leaves one out."""
        if not isinstance(value, dict):
            self.fail(key, "expected a mapping", f"use {key}.NAME._target_=package.Class", value)
        metrics = key == "evaluate.metrics"
        kind = signatures.opaque("Metric") if metrics else Any
        given = {str(name): item for name, item in value.items() if item is not None}
        return {name: self.node(f"{key}.{name}", item, kind, whole=not metrics) for name, item in given.items()}

    def node(self, key: str, value: Any, annotation: Any, *, whole: bool) -> Node:
        """The class that a mapping names, with arguments of its signature.

        whole: the arguments before the star are keys, too, because no builder gives them
        """
        if not isinstance(value, dict) or not isinstance(value.get("_target_"), str):
            if isinstance(value, dict) and (holders := self.holders(key, *map(str, list(value)[:1]))):
                without = " ".join(f"~{key}.{name}" for name in value)
                self.fail(key, "no option is chosen", f"use {key}={'|'.join(holders)} or {without}")
            self.fail(key, "names no class", f"a mapping with {key}._target_ belongs here")
        target = value["_target_"]
        signature = self.signature(key, target)
        expected = {member.__name__ for member in members(annotation) if is_opaque(member)}
        if annotation is not Any and Node not in members(annotation) and not expected & signature.ancestors:
            self.fail(f"{key}._target_", f"expected {describe(annotation)}", value=target)
        given = {n: v for n, v in value.items() if n not in ("_target_", "_partial_", "_convert_", "_recursive_")}
        takes = signature.constructor
        parameters = takes.parts | takes.keys if whole else takes.keys
        annotations = {name: parameter.annotation for name, parameter in parameters.items()}
        if takes.open or (whole and takes.inherited):
            annotations.update(dict.fromkeys(given.keys() - annotations.keys(), Any))
        required = {name: parameter.required for name, parameter in parameters.items()}
        self.keys(key, given, annotations, required)
        return Node(target, {name: item for name, item in value.items() if name != "_target_"})


def allowed() -> tuple[str, ...]:
    """Prefixes of the classes that a configuration may name."""
    return ("vae_cli.", "torch.optim.", "torch.nn.", "optuna.pruners.", *(f"{name}." for name in plugins()))


def _required(schema: type) -> dict[str, bool]:
    """True for a key that must be there; a key of a later version has a default, for the runs of earlier ones."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(schema)
    return {field.name: field.default is missing and field.default_factory is missing for field in fields}


def _hints(schema: type) -> dict[str, Any]:
    return {name: kind for name, (kind, _) in types_of(schema).items()}


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else str(name)


def _text(value: Any) -> str:
    """A value as a user types it; text that looks like a number is in quotes, which show the fault."""
    text = json.dumps(value, default=str)
    if isinstance(value, str) and not re.fullmatch(r"[\d.+-][\d.e+-]*|true|false|null", value):
        text = value
    return text if len(text) <= 60 else f"{text[:57]}..."
