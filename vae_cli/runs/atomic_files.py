"""Atomic writing: a file is written beside its target, synced, and moved over it."""

from __future__ import annotations

import csv
import glob
import io
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from errno import EROFS
from pathlib import Path
from typing import IO

from vae_cli.distributed.signals import held_back
from vae_cli.errors import UserError
from vae_cli.runs.layout import display

PARTIAL = ".partial"


def write_atomically(path: Path, write: Callable[[IO[bytes]], object], previous: Path | None = None) -> None:
    """Call `write(file)` on a new file beside `path` and move it there once it is on the disk.

    The folder must exist: a folder that has vanished is not made anew. Signals wait for the end.

    Args:
        previous: path at which an earlier file of `path` is kept
    """
    with held_back(), replacing(path, previous) as file:
        write(file)


@contextmanager
def replacing(path: Path, previous: Path | None = None) -> Iterator[IO[bytes]]:
    """A new file beside `path`, which takes its place at the end; after an error or a signal `path` is as before."""
    partial = _partial(path)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if previous and path.exists():
            keep_as(path, previous)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_of_killed(path: Path) -> None:
    """Delete the partial files of `path` whose processes were killed."""
    from psutil import pid_exists

    for partial in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}"):
        number = partial.name.removesuffix(PARTIAL).rpartition(".")[2]
        if number.isdigit() and not pid_exists(int(number)):
            partial.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a text as UTF-8 atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_csv_atomically(path: Path, rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Write rows as CSV atomically; returns the columns, those of all rows."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(path, text.getvalue())
    return columns


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Write JSON of RFC 8259 atomically: a number that is not finite becomes null."""
    plain = {name: _finite(value) for name, value in values.items()}
    write_text_atomically(path, json.dumps(plain, indent=2) + "\n")


def _finite(value: object) -> object:
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def remove_partial(folder: Path) -> None:
    """Delete the partial files of killed processes in a folder."""
    for path in folder.glob(f".*{PARTIAL}"):
        path.unlink(missing_ok=True)


def room(folder: Path) -> Path:
    """Make a folder if it is missing; OSError before any work where it cannot be written to."""
    folder.mkdir(exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise OSError(EROFS, os.strerror(EROFS), str(folder))
    return folder


def obstacle(path: Path) -> str:
    """The reason why a file or a folder cannot be made at a path; empty if it can."""
    parent = next(place for place in [path.absolute(), *path.absolute().parents] if place.exists())
    if not parent.is_dir():
        return "is a file" if parent == path.absolute() else f"{display(parent)} is a file"
    try:
        Path(tempfile.mkdtemp(dir=parent)).rmdir()  # permissions alone do not tell: /proc seems to be writable
    except OSError:
        return f"cannot be made in {display(parent)}"
    return ""


def new_folder(path: str) -> Path:
    """The output folder of a command, not made yet; UserError where it cannot be made, or holds files."""
    folder = Path(path).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"out={path}: {'holds files already' if folder.is_dir() else 'is a file'}; use a new folder")
    if problem := obstacle(folder):
        raise UserError(f"out={path}: {problem}; use another folder")
    return folder


def keep_as(path: Path, other: Path) -> None:
    """Link the file at `path` as `other` too; a copy on a file system without hard links."""
    partial = _partial(other)
    partial.unlink(missing_ok=True)  # of a killed process; as a hard link it would be written through
    try:
        try:
            partial.hardlink_to(path)
        except OSError:
            shutil.copyfile(path, partial)
        partial.replace(other)
    finally:
        partial.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
