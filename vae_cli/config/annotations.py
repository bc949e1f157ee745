"""Types of keys: their description in messages, and the test of a value."""

from __future__ import annotations

import json
import types
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError

from vae_cli.config.signatures import Opaque

WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "text", type(None): "null"}
SIGNS = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt")}


def describe(annotation: Any) -> str:
    """A type in words."""
    if get_origin(annotation) is Annotated:
        base, *bounds = get_args(annotation)
        if any(isinstance(bound, StringConstraints) for bound in bounds):
            return "a name of at most 60 letters, digits, . _ and -"
        if any(isinstance(bound, MinLen) for bound in bounds):
            return f"{describe(base)} of at least one value"
        limits = [f"{SIGNS[type(b)][0]} {getattr(b, SIGNS[type(b)][1])}" for b in bounds if type(b) in SIGNS]
        return f"{describe(base)} {' and '.join(limits)}".strip()
    if get_origin(annotation) is Literal:
        values = list(dict.fromkeys(map(str, get_args(annotation))))
        return f"one of {', '.join(values)}" if len(values) > 1 else values[0]
    if get_origin(annotation) in (Union, types.UnionType):
        found = [member for member in members(annotation) if not is_opaque(member)] or members(annotation)
        return " or ".join(describe(member) for member in found)
    if get_origin(annotation) in (list, tuple):
        return f"a list [{', '.join('...' if a is ... else describe(a) for a in get_args(annotation))}]"
    if get_origin(annotation) is dict:
        key, value = get_args(annotation)
        return f"a mapping of {'names' if key is str else describe(key)} to {describe(value)}"
    return WORDS[annotation] if annotation in WORDS else f"a {getattr(annotation, '__name__', annotation)}"


def is_opaque(annotation: Any) -> bool:
    """True for a class that is known by name only."""
    return isinstance(annotation, type) and issubclass(annotation, Opaque)


def members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union; of any other type that type alone."""
    union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if union else (annotation,)


def choices(annotation: Any) -> list[str]:
    """The values of the Literals of a type."""
    return [str(one) for member in members(annotation) if get_origin(member) is Literal for one in get_args(member)]


def listed(annotation: Any) -> list[str]:
    """The values of the Literals that a list may hold."""
    return [one for member in members(annotation) if get_origin(member) is list for one in choices(get_args(member)[0])]


def fits(value: Any, annotation: Any) -> bool:
    """Strictly: true is no integer, 1.0 is none either, "1" is no number; an integer is a number, a list a tuple."""
    try:
        _adapter(annotation).validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError:
        return False
    return True


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))
