"""Files of arrays, opened: each array is read by slices of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from vae_cli.datasets.npz import read_arrays
from vae_cli.errors import UserError, first_line


class Rows(Protocol):
    """An array (N, ...) on disk or in memory: a slice of rows is read when it is asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


def open_arrays(path: Path) -> Mapping[str, Rows]:
    """The arrays of a file by name; a file of one array has x."""
    return {"x": open_npy(path)} if path.suffix.lower() == ".npy" else read_arrays(path)


def open_npy(path: Path) -> np.ndarray:
    """The array of a .npy file, mapped into memory; nothing is unpickled."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        reason = "it holds Python objects; save numbers" if "pickle" in str(error) else first_line(error)
        raise UserError(f"{path}: not a readable .npy file ({reason})") from error
