"""Floors: a folder of vae_cli imports only from floors below its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

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


def test_imports_go_downwards() -> None:
    arrows = [(path, room(path), other) for path in sorted(PACKAGE.rglob("*.py")) for other in imported(path)]
    upwards = [
        f"{path.relative_to(PACKAGE)} imports {other}, on its floor or above"
        for path, own, other in arrows
        if other != own and FLOOR[other] >= FLOOR[own]
    ]
    assert not upwards, "\n".join(upwards)


def test_the_top_of_the_package_is_small() -> None:
    top = [entry for entry in PACKAGE.iterdir() if not entry.name.startswith((".", "__pycache__"))]
    assert len([entry for entry in top if entry.is_file()]) <= 8
    assert len([entry for entry in top if entry.is_dir()]) <= 16
