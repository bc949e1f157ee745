"""One process at a time in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vae_cli.errors import UserError
from vae_cli.runs.atomic_files import remove_partial
from vae_cli.runs.layout import LOCK, display

REFUSED = 2


@contextmanager
def held(folder: Path, what: str = "training") -> Iterator[None]:
    """Have the folder to oneself, and free of what a killed process was writing; UserError if another process has it.

    The system lets go of a lock when its process ends, in whatever way, so that a file left behind locks nobody out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"{display(folder)}: another process is {what} in this folder", REFUSED) from error
    try:
        for place in (folder, folder / "checkpoints", folder / "figures"):
            remove_partial(place)
        yield
    finally:
        lock.release()
