"""Packages of which Lightning and torch's optimisers need a few names: their whole is two thirds of an import.

`torchmetrics` imports torchvision and scipy.signal; `torch._dynamo`, the compiler, imports sympy and Triton. Here each
starts as a light module that has the names in need, and is executed as a whole, as if it were imported only then, when
something uses another name or, for the compiler, imports a submodule.
"""

from __future__ import annotations

import gc
import logging
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

COMPILER, METRICS = "torch._dynamo", "torchmetrics"
HOMES = {"Metric": "metric", "MetricCollection": "collections", "__version__": "__about__"}
"""Modules of torchmetrics that define the names which Lightning needs."""


def install() -> None:
    """Let the packages start light, unless they are imported already."""
    if not any(isinstance(finder, LightFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, LightFinder())


@contextmanager
def uncollected() -> Iterator[None]:
    """Imports without the garbage collector, which would look again and again at a million objects that stay."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class OptimizedModule(metaclass=ABCMeta):  # noqa: B024 (it asks for no method)
    """Stands for the class of compiled modules, which Lightning asks each module for."""

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        return any(
            (one.__module__, one.__name__) == ("torch._dynamo.eval_frame", cls.__name__) for one in other.__mro__
        )


class LightFinder(MetaPathFinder):
    """Finds the two packages, and modules of the compiler while it is light."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname in (COMPILER, METRICS):
            spec = PathFinder.find_spec(fullname, path)
            if spec is not None and spec.loader is not None:
                spec.loader = LightLoader(spec.loader)
            return spec
        if fullname.startswith(f"{COMPILER}."):
            execute_whole(sys.modules[COMPILER])
            if fullname in sys.modules:
                return ModuleSpec(fullname, Imported(sys.modules.pop(fullname)))
        return None


class LightLoader(Loader):
    """Gives a module its few names; `whole` is the package's own loader."""

    def __init__(self, whole: Loader) -> None:
        self.whole = whole

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == COMPILER:  # nothing is traced before the package is executed
            vars(module).update(OptimizedModule=OptimizedModule, graph_break=lambda: None, disable=_unchanged)
        vars(module)["__getattr__"] = lambda name: _attribute(module, name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)


class Imported(Loader):
    """Returns a module that was imported while it was looked for."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = self.module


def execute_whole(module: ModuleType) -> None:
    """Execute a package that has only its few names so far."""
    if vars(module).pop("__getattr__", None) is not None:
        loader = module.__spec__.loader if module.__spec__ else None
        assert isinstance(loader, LightLoader)
        loader.whole.exec_module(module)


def _attribute(module: ModuleType, name: str) -> Any:
    """A name that a light module lacks."""
    if name.startswith("__") and name not in HOMES:  # asked for by tools that look at every module
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
    if module.__name__ == METRICS and name == "_logger":
        return logging.getLogger(METRICS)
    if module.__name__ == METRICS and name in HOMES:
        if name != "__version__":
            import_module(f"{METRICS}.utilities")  # the first of a circle of imports
        return getattr(import_module(f"{METRICS}.{HOMES[name]}"), name)
    execute_whole(module)
    return getattr(module, name)


def _unchanged(function: Callable[..., Any], *_: bool, **__: Any) -> Callable[..., Any]:
    """The decorator `disable`: a function that no compiler traces runs as it is."""
    return function
