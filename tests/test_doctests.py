"""Examples in docstrings give the values that stand below them."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [path for path in sorted((ROOT / "vae_cli").rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_of_a_module(path: Path) -> None:
    found = doctest.testmod(import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)))
    assert found.attempted > 0 and found.failed == 0
