"""One process at a time in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vae_cli.errors import REFUSED, UserError
from vae_cli.runs.atomic_files import remove_partial
from vae_cli.runs.layout import display

LOCK = ".lock"


@contextmanager
def held(folder: Path, activity: str) -> Iterator[None]:
    """Lock a folder and remove the partial files of killed processes; UserError if another process holds the lock.

    The system releases a lock when its process ends in any way, so that a file that is left behind locks nobody out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        problem = f"another process is {activity} in this folder"
        raise UserError(f"{display(folder)}: {problem}; wait for its end, or use another folder", REFUSED) from error
    try:
        remove_partial(folder)
        yield
    finally:
        lock.release()
