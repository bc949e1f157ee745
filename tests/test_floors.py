"""Floors: a folder of vae_cli imports only from floors below its own."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vae_cli"
FLOORS = (
    ("capabilities", "errors", "types"),
    ("distributed",),
    ("batch", "runs", "distributions"),
    ("datasets", "models"),
    ("config", "objectives"),
    ("evaluation",),
    ("figures",),
    ("training", "studies"),
    ("commands", "report"),
    ("sweeps",),
    ("__init__", "cli", "plugins"),
    ("__main__",),
)
"""Lowest first: files and folders at the top of the package; `docs` holds pages only."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The rooms that a file imports from, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "vae_cli":
            _, _, rest = node.module.partition(".")
            yield from [rest.split(".")[0]] if rest else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from [name.name.split(".")[1] for name in node.names if name.name.startswith("vae_cli.")]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    upwards = {other for other in imported(path) if other != room(path) and FLOOR[other] >= FLOOR[room(path)]}
    assert not upwards, f"{room(path)} may not import {', '.join(sorted(upwards))}: they are on its floor or above"


def test_the_top_of_the_package_is_small() -> None:
    top = [entry for entry in PACKAGE.iterdir() if not entry.name.startswith((".", "__pycache__"))]
    assert len([entry for entry in top if entry.is_file()]) <= 8
    assert len([entry for entry in top if entry.is_dir()]) <= 16


def test_the_files_with_doctests_are_named() -> None:
    """pytest collects doctests from these files alone, since it imports each file that it looks into."""
    settings = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    _, *named = settings["tool"]["pytest"]["ini_options"]["testpaths"]
    found = [path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]
    assert named == sorted(str(path.relative_to(PACKAGE.parent)) for path in found)
