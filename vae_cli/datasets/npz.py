"""Users' own arrays in a .npz file."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vae_cli.datasets.dataset import HeldOutDataset, Source
from vae_cli.datasets.split import Split
from vae_cli.errors import UserError
from vae_cli.types import Domain

SPLITS = ("train", "val", "test")
NAMES = ("x", "y", *(f"{name}_{split}" for split in SPLITS for name in "xy"))
CHANNELS = (1, 3)
LEVEL_TOLERANCE = 0.01  # of a level: what float16 or a sloppy division leaves of k/255
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Npz(HeldOutDataset):
    """Arrays x_train, x_test and perhaps x_val, or x of which seeded fractions are held out; labels y_train, ..., or y.

    Labels, if there are any, are numbers from 0 or names.

    x is (N, D), (N, H, W) or (N, C, H, W); uint8 counts as k/255, other numbers are taken as they are.
    path: the file; domain: where the numbers lie, checked row by row
    """

    path: str
    domain: Domain

    name: ClassVar[str] = "npz"

    def read(self) -> Source:
        """The arrays, checked: UserError names the file, the array and the row."""
        path = Path(self.path).expanduser()
        arrays = read_arrays(path)
        for y in arrays:
            if y.startswith("y") and f"x{y[1:]}" not in arrays:
                raise UserError(f"{path}: holds {y}, but no x{y[1:]} that it labels")
        class_names = number_labels(arrays, path)
        if "x" in arrays:
            if others := [name for name in arrays if name not in ("x", "y")]:
                problem = f"{path}: holds x beside {', '.join(others)}"
                raise UserError(f"{problem}; name the training data x_train (and add x_test), or leave the others out")
            return Source(self.domain, self._split(path, arrays, "x", "y"), class_names=class_names)
        if not ("x_train" in arrays and "x_test" in arrays):
            found = ", ".join(arrays) or "none of them"
            raise UserError(f"{path}: needs an array x, or x_train and x_test; it holds {found}")
        given = [split for split in SPLITS if f"x_{split}" in arrays]
        splits = {split: self._split(path, arrays, f"x_{split}", f"y_{split}") for split in given}
        shapes = {f"x_{name}": split.event_shape for name, split in splits.items()}
        if len(set(shapes.values())) > 1:
            has = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise UserError(f"{path}: has events of different shapes: {has}")
        return Source(self.domain, splits["train"], splits["test"], val=splits.get("val"), class_names=class_names)

    def _split(self, path: Path, arrays: Arrays, x: str, y: str) -> Split:
        values = events(arrays[x], self.domain, f"{path}: {x}")
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


def events(array: np.ndarray, domain: Domain, where: str) -> Tensor:
    """(N, *event): uint8 for bytes, levels and binary data, else float32; UserError at the first row at fault."""
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
        x = x.astype(np.float32)
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
        raise UserError(f"{where}: row {index[0]} holds {x[index]}; every value must be {wanted}")


def number_labels(arrays: Arrays, path: Path) -> tuple[str, ...] | None:
    """Put numbers in the place of labels that are names; returns the names, in alphabetical order, if there are any."""
    ys = {name: array for name, array in arrays.items() if name.startswith("y")}
    named = [name for name, array in ys.items() if array.dtype.kind in "US"]
    if not named:
        return None
    if others := [name for name in ys if name not in named]:
        raise UserError(f"{path}: {named[0]} holds names, {others[0]} holds {ys[others[0]].dtype}; give all as names")
    texts = {name: np.char.decode(y, "utf-8", "replace") if y.dtype.kind == "S" else y for name, y in ys.items()}
    names = np.unique(np.concatenate([text.ravel() for text in texts.values()]))
    arrays.update({name: np.searchsorted(names, text) for name, text in texts.items()})
    return tuple(names.tolist())


def labels(array: np.ndarray, length: int, where: str) -> Tensor:
    """(N,) int64; UserError if they are no labels of these examples."""
    if array.shape != (length,):
        raise UserError(f"{where}: shape {array.shape}; one label for each of the {length} examples is needed")
    if array.dtype.kind not in "bui":
        raise UserError(f"{where}: labels are whole numbers, not {array.dtype}")
    check(array, array >= 0, "0 or more", where)
    return torch.from_numpy(array.astype(np.int64))
