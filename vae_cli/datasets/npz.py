"""Users' own arrays in a .npz file."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from vae_cli.datasets.data import Data
from vae_cli.datasets.dataset import HeldOutDataset, Source
from vae_cli.datasets.split import Split
from vae_cli.errors import UserError
from vae_cli.types import Domain

NAMES = ("x", "y", "x_train", "y_train", "x_test", "y_test")
CHANNELS = (1, 3)
LEVEL_TOLERANCE = 0.01  # of a level: what float16 or a sloppy division leaves of k/255
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Npz(HeldOutDataset):
    """Arrays x_train and x_test, or x of which a seeded fraction is held out; labels y_train, y_test, y if known.

    x is (N, D), (N, H, W) or (N, C, H, W); uint8 counts as k/255, other numbers are taken as they are.
    path: the file; domain: where the numbers lie, checked row by row
    standardise: whether the model sees (x - mean) / standard deviation, of the training rows; auto for tables of
        real numbers, (N, D), alone. Runs of earlier versions do not.
    """

    path: str
    domain: Domain
    standardise: bool | Literal["auto"] = False

    name: ClassVar[str] = "npz"

    def load(self) -> Data:
        """The data, split, and standardised if that is asked for."""
        data = super().load()
        return data.standardised() if self._standardises(len(data.event_shape)) else data

    def _standardises(self, event_dims: int) -> bool:
        automatic = self.domain == "real" and event_dims == 1
        return automatic if self.standardise == "auto" else self.standardise

    def read(self) -> Source:
        """The arrays, checked: UserError names the file, the array and the row."""
        path = Path(self.path).expanduser()
        arrays = read_arrays(path)
        if "x" in arrays:
            return Source(self.domain, self._split(path, arrays, "x", "y"))
        if not ("x_train" in arrays and "x_test" in arrays):
            found = ", ".join(arrays) or "none of them"
            raise UserError(f"{path}: needs an array x, or x_train and x_test; it holds {found}")
        train = self._split(path, arrays, "x_train", "y_train")
        test = self._split(path, arrays, "x_test", "y_test")
        if train.event_shape != test.event_shape:
            raise UserError(f"{path}: x_train has events {train.event_shape}, x_test {test.event_shape}")
        return Source(self.domain, train, test)

    def _split(self, path: Path, arrays: Arrays, x: str, y: str) -> Split:
        precise = self._standardises(arrays[x].ndim - 1)
        values = events(arrays[x], self.domain, f"{path}: {x}", floats(arrays[x]) if precise else np.float32)
        if y not in arrays:
            return Split(values)
        return Split(values, labels(arrays[y], len(values), f"{path}: {y}"))


def read_arrays(path: Path) -> Arrays:
    """All arrays of a file; nothing in it is ever unpickled."""
    if not path.is_file():
        raise UserError(f"dataset.path={path}: there is no such file")
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise UserError(f"{path}: a single array; save it with numpy.savez(path, x=...)")
            with file:
                size, memory = sum(part.file_size for part in file.zip.infolist()), memory_bytes()
                if size > memory:
                    raise UserError(f"{path}: unpacks to {size:,} bytes; this machine's memory has {memory:,}")
                return {name: file[name] for name in file.files if name in NAMES}
    except (ValueError, OSError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not a readable .npz file ({reason})") from error


def memory_bytes() -> int:
    """Of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def floats(array: np.ndarray) -> type[np.floating]:
    """float32 if it holds all numbers of this array's type exactly, else float64."""
    return np.float32 if np.can_cast(array.dtype, np.float32, "safe") else np.float64


def events(array: np.ndarray, domain: Domain, where: str, dtype: type[np.floating] = np.float32) -> Tensor:
    """(N, *event): uint8 for bytes, levels and binary data, else `dtype`; UserError at the first row at fault."""
    if array.dtype.kind not in "buif":
        raise UserError(f"{where}: numbers are needed, not {array.dtype}")
    if array.ndim not in (2, 3, 4) or 0 in array.shape:
        raise UserError(f"{where}: shape {array.shape}; needs (N, D), (N, H, W) or (N, C, H, W), none of them 0")
    if array.ndim == 4 and array.shape[1] not in CHANNELS and array.shape[3] in CHANNELS:
        raise UserError(f"{where}: shape {array.shape} has channels last; transpose it to (N, C, H, W)")
    x = array[:, None] if array.ndim == 3 else array
    if domain == "binary":
        check(x, (x == 0) | (x == 1), "0 or 1", where)
        return torch.from_numpy(x.astype(np.uint8) * 255)
    if x.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(x))
    with np.errstate(over="ignore"):
        x = x.astype(dtype)
    check(x, np.isfinite(x), "finite", where)
    if domain == "real":
        return torch.from_numpy(x)
    check(x, (x >= 0) & (x <= 1), "in [0, 1]", where)
    if domain == "unit":
        return torch.from_numpy(x)
    levels = np.rint(255 * x)
    check(x, abs(255 * x - levels) <= LEVEL_TOLERANCE, "k/255 with a whole k (dataset.domain=levels)", where)
    return torch.from_numpy(levels.astype(np.uint8))


def check(x: np.ndarray, fine: np.ndarray, wanted: str, where: str) -> None:
    """Raise UserError with the first row and value of x (N, *event) that is not fine."""
    if not fine.all():
        index = np.unravel_index(int(np.argmin(fine)), fine.shape)
        place = f"row {index[0]}, column {index[1]}" if x.ndim == 2 else f"row {index[0]}"
        raise UserError(f"{where}: {place} holds {x[index]}; every value must be {wanted}")


def labels(array: np.ndarray, length: int, where: str) -> Tensor:
    """(N,) int64; UserError if they are no labels of these examples."""
    if array.shape != (length,):
        raise UserError(f"{where}: shape {array.shape}; one label for each of the {length} examples is needed")
    if array.dtype.kind not in "bui":
        raise UserError(f"{where}: labels are whole numbers, not {array.dtype}")
    check(array, array >= 0, "0 or more", where)
    return torch.from_numpy(array.astype(np.int64))
