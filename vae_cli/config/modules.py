"""Modules as parsed source files, found on disk without an import."""

from __future__ import annotations

import ast
import importlib.machinery
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Module:
    """A parsed source file; `package` is the package that its relative imports start from."""

    file: Path
    package: str
    tree: ast.Module

    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))

    def imports(self) -> Iterator[tuple[str, ast.alias]]:
        """(dotted module, imported name) of each `from module import name`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                parts = self.package.split(".") if node.level else []
                base = parts[: len(parts) - node.level + 1] if node.level else []
                for alias in node.names:
                    yield ".".join([*base, *([node.module] if node.module else [])]), alias

    def alias(self, name: str) -> ast.expr | None:
        """The right-hand side of a top-level `name = ...`, for types that a file names for itself."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                return node.value
        return None


@cache
def module_at(dotted: str) -> Module:
    """The parsed module at a dotted path, found on disk below its top-level package."""
    top, *rest = dotted.split(".")
    if not all(part.isidentifier() for part in (top, *rest)):
        raise LookupError(f"{dotted} is no name of a module" if dotted else "it names no module")
    spec = importlib.machinery.PathFinder.find_spec(top, sys.path)
    if spec is None or spec.origin is None:
        raise LookupError(f"there is no package {top}")
    file = Path(spec.origin)
    package = top if file.name == "__init__.py" else ""
    for part in rest:
        folder = file.parent / part
        if package and (folder / "__init__.py").is_file():
            file, package = folder / "__init__.py", f"{package}.{part}"
        elif package and folder.with_suffix(".py").is_file():
            file = folder.with_suffix(".py")
        else:
            raise LookupError(f"there is no module {dotted}")
    if file.suffix != ".py":
        raise LookupError(f"{dotted} is no Python source")
    try:
        return Module(file, package, ast.parse(file.read_text(encoding="utf-8")))
    except SyntaxError as error:
        raise LookupError(f"{file.name}, line {error.lineno}: {error.msg}") from None


def find_class(module: Module, name: str, depth: int = 6) -> tuple[Module, ast.ClassDef] | None:
    """The class `name` as seen from `module`: defined there, or imported from its own package or from vae_cli."""
    for node in module.classes():
        if node.name == name:
            return module, node
    top = module.package.split(".")[0]
    for source, alias in module.imports():
        visible = name if alias.name == "*" else alias.asname or alias.name
        if depth == 0 or visible != name or source.split(".")[0] not in (top, "vae_cli"):
            continue
        try:
            found = find_class(module_at(source), name if alias.name == "*" else alias.name, depth - 1)
        except LookupError:  # a compiled or optional module
            continue
        if found is not None:
            return found
    return None


def class_names(path: str) -> list[str]:
    """Public classes that the module at a dotted path defines or takes from its package; empty if there is none."""
    try:
        module = module_at(path)
    except LookupError:
        return []
    imported = [alias.name for _, alias in module.imports() if find_class(module, alias.name)]
    return [name for name in [*(node.name for node in module.classes()), *imported] if not name.startswith("_")]
