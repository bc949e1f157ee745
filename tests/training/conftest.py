"""A finished run that tests of resumption change in copies."""

import shutil
from pathlib import Path

import pytest

from tests.support.resumption import trained


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("resumption") / "original")


@pytest.fixture
def work(original: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(original, tmp_path / "work", symlinks=True))
