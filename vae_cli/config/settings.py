"""The role of each key: the settings of the schema, and those of keys of classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from vae_cli.config.schema import Node, Setting, TrainConfig

OF_CLASSES = {
    "dataset.root": Setting(changes_results=False, on_resume=True, distinguishes=False, selects_data=False),
    "dataset.path": Setting(on_resume=True),
    "dataset.batch_size": Setting(selects_data=False),
    "dataset.workers": Setting(selects_data=False),
    "dataset.memory_gb": Setting(selects_data=False),
    "dataset.cache": Setting(changes_results=False, on_resume=True, distinguishes=False, selects_data=False),
    "dataset.flip": Setting(selects_data=False),
    "dataset.crop": Setting(selects_data=False),
    "dataset.standardise": Setting(selects_data=False),  # results are in the units of the data
}
"""The settings of keys that belong to classes, whose signatures are their schema."""


@cache
def types_of(schema: type) -> dict[str, tuple[Any, Setting | None]]:
    """The type of each key of a dataclass, and its setting, if it has one."""
    found: dict[str, tuple[Any, Setting | None]] = {}
    for name, hint in get_type_hints(schema, include_extras=True).items():
        base, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        own = next((note for note in notes if isinstance(note, Setting)), None)
        bounds = [note for note in notes if note is not own]
        found[name] = (Annotated[(base, *bounds)] if bounds else base, own)  # pyright: ignore[reportInvalidTypeForm]
    return found


@cache
def setting_of(key: str) -> Setting:
    """The setting of a dotted key of vae-train."""
    if key in OF_CLASSES:
        return OF_CLASSES[key]
    found, schema = Setting(), TrainConfig
    for name in key.split("."):
        schema, own = types_of(schema).get(name, (None, None)) if is_dataclass(schema) else (None, None)
        found = own or found
    return found


def keys_that(fits: Callable[[Setting], bool]) -> tuple[str, ...]:
    """The keys of vae-train whose setting fits; a mapping stands for all keys in it."""
    return (*_keys(TrainConfig, "", fits), *(key for key, one in OF_CLASSES.items() if fits(one)))


def _keys(schema: type, prefix: str, fits: Callable[[Setting], bool]) -> Iterator[str]:
    for name, (kind, _) in types_of(schema).items():
        if fits(setting_of(f"{prefix}{name}")):
            yield f"{prefix}{name}"
        elif is_dataclass(kind) and isinstance(kind, type) and kind is not Node:
            yield from _keys(kind, f"{prefix}{name}.", fits)


def not_in_names() -> list[str]:
    """The keys that are no part of the name of a job's folder, each by itself, as hydra requires."""
    whole, types = keys_that(lambda one: not one.names_job), types_of(TrainConfig)
    mappings = [(key, types[key][0]) for key in whole if is_dataclass(types[key][0])]
    return [*whole, *(f"{key}.{name}" for key, kind in mappings for name in types_of(kind))]
