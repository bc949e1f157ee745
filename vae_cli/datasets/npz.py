"""Arrays of a .npz file, read when they are asked for; nothing is unpickled."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError

import numpy as np

from vae_cli.errors import UserError, first_line


class NpzArrays(Mapping[str, np.ndarray]):
    """The arrays of a .npz file by name; UserError for damaged files, for Python objects, and beyond memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if not zipfile.is_zipfile(path):
                raise UserError(f"{path}: {no_archive(path)}")
            with self._open() as file:
                assert file.zip is not None  # it is open
                self.names, size = file.files, sum(part.file_size for part in file.zip.infolist())
        except UserError:
            raise
        except Exception as error:  # damaged files raise many kinds of exception, a damaged header one of tokenize
            raise UserError(f"{path}: not a readable .npz file ({first_line(error)})") from error
        if size > memory_bytes():
            raise UserError(f"{path}: unpacks to {size:,} bytes; this machine's memory has {memory_bytes():,}")
        if twice := next((name for name in self.names if self.names.count(name) > 1), None):
            raise UserError(f"{path}: not a readable .npz file (it holds two arrays {twice})")

    @contextmanager
    def _open(self) -> Iterator[np.lib.npyio.NpzFile]:
        with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            yield file

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self:
            raise KeyError(name)
        try:
            with self._open() as file:
                array, size = file[name], content_bytes(file, name)
        except Exception as error:
            reason = first_line(error)
            if "pickle" in reason:  # numpy proposes allow_pickle, which runs code of the file
                reason = f"{name} holds Python objects; save numbers"
            elif isinstance(error, SyntaxError | TokenError | TypeError | AttributeError):
                reason = f"{name} is damaged: its header cannot be read"
            else:
                reason = f"{name} is damaged: {reason}"
            raise UserError(f"{self.path}: not a readable .npz file ({reason})") from error
        if not isinstance(array, np.ndarray):
            raise UserError(f"{self.path}: not a readable .npz file ({name} is no array)")
        if array.nbytes != size:
            raise UserError(
                f"{self.path}: not a readable .npz file ({name} is damaged: its header states another size)"
            )
        return array


def content_bytes(file: np.lib.npyio.NpzFile, name: str) -> int:
    """Number of bytes after the header of an array."""
    assert file.zip is not None  # it is open
    member = next(part for part in file.zip.infolist() if part.filename.removesuffix(".npy") == name)
    with file.zip.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        width = 2 if version == (1, 0) else 4  # bytes that hold the header's length
        return member.file_size - 8 - width - int.from_bytes(stream.read(width), "little")


def no_archive(path: Path) -> str:
    """Description of a file that is no .npz."""
    with path.open("rb") as stream:
        start = stream.read(4096)
    if start.startswith(b"\x93NUMPY"):
        return "a single array under the name of an archive; rename the file .npy"
    if not start.strip() or any(byte < 32 and chr(byte) not in "\t\n\f\r" for byte in start):
        return "not a readable .npz file (no archive, or cut short)"
    return "not a readable .npz file (it is text); rename a table to .csv or .tsv, and use dataset=table"


def memory_bytes() -> int:
    """Memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
