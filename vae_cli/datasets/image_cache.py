"""Decoded images on disk, which all jobs on a machine share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO

import numpy as np
from platformdirs import user_cache_dir
from torch import Tensor

from vae_cli.datasets.array_files import write_npy_header
from vae_cli.datasets.files import locked
from vae_cli.errors import UserError, counted
from vae_cli.runs.atomic_files import write_atomically

FEWEST = 1000
"""Images of a folder that is worth a cache."""
LIMIT = 20 * 2**30
"""Bytes of all caches of images together; the oldest make room."""


def folder_of(cache: bool | str) -> Path | None:
    """The folder of the caches, as `dataset.cache` states it; None forbids them."""
    if isinstance(cache, bool):
        return Path(user_cache_dir("vae-cli")) / "images" if cache else None
    return Path(cache).expanduser().absolute()


def key(root: Path, names: tuple[str, ...], settings: str) -> str:
    """A hash of the names, sizes and times of files, and of the settings by which they are decoded."""
    total = sha256(f"{root.resolve()} {settings}\n".encode(errors="surrogateescape"))
    for name in names:
        facts = (root / name).stat()
        total.update(f"{name} {facts.st_size} {facts.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return total.hexdigest()[:32]


def decoded(folder: Path, name: str, shape: tuple[int, ...], blocks: Iterator[Tensor]) -> Path | None:
    """The .npy file of decoded images (N, C, H, W), which is written if there is none; None where there is no room.

    Args:
        blocks: the images, in their order
    """
    file, size = folder / f"{name}.npy", int(np.prod(shape))
    if not file.is_file():
        with locked(folder):
            if not file.is_file():  # another process may have written it while this one waited
                if not _room(folder, size):
                    return None
                _write(file, shape, blocks)
                places = f"{file.parent}; dataset.cache=FOLDER moves them, dataset.cache=false forbids them"
                print(f"kept {counted(shape[0], 'decoded image')} ({size / 2**20:,.0f} MiB) in {places}", flush=True)
    with suppress(OSError):
        os.utime(file)  # the oldest make room
    return file


def _write(file: Path, shape: tuple[int, ...], blocks: Iterator[Tensor]) -> None:
    def write(stream: IO[bytes]) -> None:
        write_npy_header(stream, np.dtype(np.uint8), shape)
        for block in blocks:
            stream.write(np.ascontiguousarray(block.numpy()).data)

    try:
        write_atomically(file, write)
    except OSError as error:
        way = "use dataset.cache=FOLDER or dataset.cache=false"
        raise UserError(f"cannot write {file} ({error.strerror or error}); {way}") from error


def _room(folder: Path, size: int) -> bool:
    """Remove the oldest caches until a new one fits; False if it cannot."""
    if size > LIMIT or size > shutil.disk_usage(folder).free // 2:
        return False
    files = sorted(folder.glob("*.npy"), key=lambda path: path.stat().st_mtime)
    total = sum(path.stat().st_size for path in files)
    for path in files:
        if total + size <= LIMIT:
            break
        total -= path.stat().st_size
        path.unlink()
    return True
