"""Files that are whole or absent: written beside their target, synced, then moved over it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

PARTIAL = ".partial"


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call `write(file)` on a new file beside `path` and move it there once it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """The same for text."""
    write_atomically(path, lambda file: file.write(text.encode()))


def remove_partial(folder: Path) -> None:
    """Delete what processes that were killed while they wrote have left in a folder."""
    for path in folder.glob(f".*{PARTIAL}"):
        path.unlink(missing_ok=True)
