"""The configurable keys and the constants of a class, read from its source without an import (torch takes seconds)."""

from __future__ import annotations

import ast
import builtins
import typing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import annotated_types

from vae_cli import types
from vae_cli.capabilities import unknown_word
from vae_cli.config.modules import Module, find_class, module_at
from vae_cli.runs.layout import display


class _OpaqueType(type):
    """Lets an annotation that only torch could evaluate, such as `nn.Module` or `Callable[[int], Tensor]`, be read."""

    def __getattr__(cls, name: str) -> _OpaqueType:
        if name.startswith("__"):
            raise AttributeError(name)
        return opaque(name)

    def __getitem__(cls, item: object) -> _OpaqueType:
        return cls


class Opaque(metaclass=_OpaqueType):
    """The base of classes known by name only: no value in a YAML file is an instance of one."""


@cache
def opaque(name: str) -> _OpaqueType:
    """The class that stands for `name`."""
    return _OpaqueType(name, (Opaque,), {})


@dataclass(frozen=True)
class Parameter:
    """A configurable key of a class."""

    name: str
    annotation: Any
    required: bool


@dataclass(frozen=True)
class Constructor:
    """The arguments of a class.

    Args:
        keys: arguments after the star
        parts: arguments before the star, which a builder gives
        open: True if the class takes any keyword (**kwargs)
        inherited: True if the constructor is that of a class of another package, whose arguments are not read
    """

    keys: dict[str, Parameter]
    parts: dict[str, Parameter]
    open: bool = False
    inherited: bool = False


@dataclass(frozen=True)
class Signature:
    """The constructor of a class, its literal class constants, and the names of the class and its ancestors.

    foreign: True for a class of torch, whose annotations state no ranges.
    """

    name: str
    constructor: Constructor
    constants: dict[str, Any]
    ancestors: frozenset[str]
    foreign: bool = False

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The configurable keys, where a builder gives the parts."""
        return self.constructor.keys

    @property
    def provides(self) -> tuple[str, ...]:
        """The capabilities that the class provides."""
        return self.constants.get("provides", ())

    @property
    def requires(self) -> dict[str, tuple[str, ...]]:
        """By group, the capabilities that the class requires."""
        return self.constants.get("requires", {})


_UNKNOWN = object()


@cache
def read(target: str) -> Signature:
    """The signature of the class at the dotted path `target`; LookupError with the reason if it cannot be read."""
    path, _, name = target.rpartition(".")
    found = find_class(module_at(path), name)
    if found is None:
        raise LookupError(f"{path} has no class {name}")
    lineage = _lineage(*found)
    constants = {name: value for _, node in reversed(lineage) for name, value in _constants(node).items()}
    _check_capabilities(found[0].file, name, constants)
    ancestors = {node.name for _, node in lineage} | {base for _, node in lineage for base in _base_names(node)}
    constructor = _constructor(lineage, target)
    literal = {name: value for name, value in constants.items() if value is not _UNKNOWN}
    return Signature(found[1].name, constructor, literal, frozenset(ancestors), foreign=target.startswith("torch."))


def _check_capabilities(file: Path, name: str, constants: dict[str, Any]) -> None:
    """LookupError where a class states its capabilities as an expression, or in words that do not exist."""
    if fault := next((key for key in ("provides", "requires") if constants.get(key) is _UNKNOWN), None):
        raise LookupError(f"{display(file)}: class {name}: {fault} is not a literal")
    if fault := unknown_word(constants.get("provides", ()), constants.get("requires", {})):
        raise LookupError(f"{display(file)}: class {name}: {fault}")


def _base_names(node: ast.ClassDef) -> list[str]:
    """The last component of each base: `nn.Module` is Module."""
    return [ast.unparse(base).split("[")[0].rpartition(".")[2] for base in node.bases]


def _lineage(module: Module, node: ast.ClassDef) -> list[tuple[Module, ast.ClassDef]]:
    """The class and its ancestors within its package, nearest first: a common ancestor comes after its descendants."""
    deep = [(module, node)]
    for base in node.bases:
        found = find_class(module, base.id) if isinstance(base, ast.Name) else None
        if found is not None and found[1] is not node:
            deep += _lineage(*found)
    return [one for number, one in enumerate(deep) if all(one[1] is not other[1] for other in deep[number + 1 :])]


def _constants(node: ast.ClassDef) -> dict[str, Any]:
    """The ClassVars of a class body; _UNKNOWN where the value is an expression, which hides an ancestor's literal."""
    constants = {}
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.value is not None:
            if not _mentions(item.annotation, "ClassVar"):
                continue
            try:
                constants[item.target.id] = ast.literal_eval(item.value)
            except ValueError:
                constants[item.target.id] = _UNKNOWN
    return constants


def _mentions(node: ast.expr, name: str) -> bool:
    return any(name in (getattr(n, "id", None), getattr(n, "attr", None)) for n in ast.walk(node))


def _constructor(lineage: list[tuple[Module, ast.ClassDef]], target: str) -> Constructor:
    """The constructor of the class whose lineage this is."""
    if any(_mentions(decorator, "dataclass") for decorator in lineage[0][1].decorator_list):
        fields: dict[str, Parameter] = {}
        for module, node in reversed(lineage):
            fields.update(_fields(module, node))
        return Constructor(fields, {})
    for module, node in lineage:
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                return _arguments(module, item.args, target)
    return Constructor({}, {}, inherited=not target.startswith("vae_cli."))


def _fields(module: Module, node: ast.ClassDef) -> dict[str, Parameter]:
    """The init fields of a dataclass body."""
    fields = {}
    for item in node.body:
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        if _mentions(item.annotation, "ClassVar") or _mentions(item.annotation, "KW_ONLY"):
            continue
        required = item.value is None
        if isinstance(item.value, ast.Call) and _mentions(item.value.func, "field"):
            options = {word.arg: word.value for word in item.value.keywords}
            if "init" in options and ast.unparse(options["init"]) == "False":
                continue
            required = not options.keys() & {"default", "default_factory"}
        name = item.target.id
        fields[name] = Parameter(name, _evaluate(module, item.annotation), required)
    return fields


def _arguments(module: Module, args: ast.arguments, target: str) -> Constructor:
    """The arguments by their place; those of a torch class are all keys, but for the first of an optimiser."""
    plain = [*args.posonlyargs, *args.args][1:]
    optional = dict(zip(reversed(plain), reversed(args.defaults), strict=False))
    parts = {a.arg: Parameter(a.arg, _evaluate(module, a.annotation), a not in optional) for a in plain}
    named = zip(args.kwonlyargs, args.kw_defaults, strict=True)
    keys = {a.arg: Parameter(a.arg, _evaluate(module, a.annotation), default is None) for a, default in named}
    if target.startswith("torch."):
        parameters = plain[0].arg if target.startswith("torch.optim.") else None
        keys, parts = {name: one for name, one in parts.items() if name != parameters} | keys, {}
    return Constructor(keys, parts, open=args.kwarg is not None)


class _Names(dict[str, Any]):
    """The names an annotation is evaluated with; a name unknown here and in its own file becomes an opaque class."""

    def __init__(self, module: Module) -> None:
        super().__init__({**vars(annotated_types), **vars(typing), **vars(builtins), **vars(types)})
        self.module = module

    def __missing__(self, name: str) -> Any:
        alias = self.module.alias(name)
        return opaque(name) if alias is None else _evaluate(self.module, alias)


def _evaluate(module: Module, annotation: ast.expr | None) -> Any:
    """The type an annotation stands for; Any where there is none."""
    if annotation is None:
        return Any
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return _evaluate(module, ast.parse(annotation.value, mode="eval").body)
    names = _Names(module)
    try:
        return eval(compile(ast.Expression(annotation), "<annotation>", "eval"), {}, names)
    except Exception:  # an annotation written for a type checker only says nothing about a value
        return opaque(ast.unparse(annotation))
