"""Users' own arrays in a .npz file."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vae_cli.datasets.arrays import check
from vae_cli.datasets.dataset import OwnDataset, Source
from vae_cli.datasets.split import Split
from vae_cli.errors import UserError, first_line

SPLITS = ("train", "val", "test")
NAMES = ("x", "y", "ids", *(f"{name}_{split}" for split in SPLITS for name in "xy"))
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Npz(OwnDataset):
    """Arrays of a .npz file: x_train, x_test and optionally x_val, or one array x that is split by seeds.

    x is (N, D), (N, H, W) or (N, C, H, W). Optional labels y_train, ... or y, (N,), are integers from 0 or names.
    Bytes (uint8) count as k/255 if domain is levels, or if domain is unit and x are images.

    Args:
        path: the .npz file
    """

    path: str

    name: ClassVar[str] = "npz"

    def read(self) -> Source:
        """The arrays, checked: UserError names the file, the array and the row."""
        path = Path(self.path).expanduser()
        arrays = read_arrays(path)
        for y in arrays:
            if y.startswith("y") and f"x{y[1:]}" not in arrays:
                raise UserError(f"{path}: holds {y}, but no x{y[1:]} that it labels")
        class_names = number_labels(arrays, path)
        self.warn_of_bytes(str(path), *(array for name, array in arrays.items() if name.startswith("x")))
        if "x" in arrays:
            if others := [name for name in arrays if name not in ("x", "y", "ids")]:
                problem = f"{path}: holds x beside {', '.join(others)}"
                raise UserError(f"{problem}; rename the training data x_train (and x_test), or drop the others")
            return Source(self.domain, self._split(path, arrays, "x", "y"), class_names=class_names)
        given = [split for split in SPLITS if f"x_{split}" in arrays]
        splits = {split: self._split(path, arrays, f"x_{split}", f"y_{split}") for split in given}
        shapes = {f"x_{name}": split.event_shape for name, split in splits.items()}
        if len(set(shapes.values())) > 1:
            has = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise UserError(f"{path}: has events of different shapes: {has}")
        return Source(self.domain, splits["train"], splits["test"], val=splits.get("val"), class_names=class_names)

    def _split(self, path: Path, arrays: Arrays, x: str, y: str) -> Split:
        values = self.stored(arrays[x], f"{path}: {x}")
        if y not in arrays:
            return Split(values)
        return Split(values, labels(arrays[y], len(values), f"{path}: {y}"))


def read_arrays(path: Path) -> Arrays:
    """The arrays of a file that have a name in NAMES; nothing is unpickled."""
    if not path.is_file():
        problem = "is a folder; dataset=image_folder reads one of images" if path.is_dir() else "there is no such file"
        raise UserError(f"dataset.path={path}: {problem}")
    try:
        with path.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise UserError(f"{path}: {no_archive(path)}")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                size, memory = sum(part.file_size for part in file.zip.infolist()), memory_bytes()
                if size > memory:
                    raise UserError(f"{path}: unpacks to {size:,} bytes; this machine's memory has {memory:,}")
                check_names(path, file.files)
                return {name: read_array(path, file, name) for name in file.files if name in NAMES}
    except UserError:
        raise
    except Exception as error:  # damaged files raise many kinds of exception, a damaged header one of tokenize
        raise UserError(f"{path}: not a readable .npz file ({first_line(error)})") from error


def read_array(path: Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    """One array of a file; UserError if it is damaged, of Python objects or no array."""
    try:
        array = file[name]
    except Exception as error:
        reason = first_line(error)
        if "pickle" in reason:  # numpy proposes allow_pickle, which runs code of the file
            raise UserError(f"{path}: not a readable .npz file ({name} holds Python objects; save numbers)") from error
        if isinstance(error, SyntaxError | TokenError | TypeError | AttributeError):
            reason = "its header cannot be read"
        raise UserError(f"{path}: not a readable .npz file ({name} is damaged: {reason})") from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path}: not a readable .npz file ({name} is no array)")
    if array.nbytes != content_bytes(file, name):
        raise UserError(f"{path}: not a readable .npz file ({name} is damaged: its header states another size)")
    return array


def content_bytes(file: np.lib.npyio.NpzFile, name: str) -> int:
    """Number of bytes after the header of an array."""
    assert file.zip is not None  # it is open
    member = next(part for part in file.zip.infolist() if part.filename.removesuffix(".npy") == name)
    with file.zip.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        width = 2 if version == (1, 0) else 4  # bytes that hold the header's length
        return member.file_size - 8 - width - int.from_bytes(stream.read(width), "little")


def check_names(path: Path, found: list[str]) -> None:
    """Raise UserError if arrays that are needed are not there, or one is there twice."""
    if "x" not in found and not ("x_train" in found and "x_test" in found):
        holds = ", ".join(found[:20]) or "no array"
        way = "; numpy.savez(path, x=...) saves one under this name"
        raise UserError(f"{path}: needs an array x, or x_train and x_test; it holds {holds}{way}")
    if twice := next((name for name in found if name in NAMES and found.count(name) > 1), None):
        raise UserError(f"{path}: not a readable .npz file (it holds two arrays {twice})")


def no_archive(path: Path) -> str:
    """Description of a file that is no .npz, and the way to convert it."""
    made = str(path.with_suffix(".npz" if path.suffix != ".npz" else ".arrays.npz"))
    with path.open("rb") as stream:
        start = stream.read(4096)
    if start.startswith(b"\x93NUMPY"):
        return f"a single array; numpy.savez({made!r}, x=numpy.load({str(path)!r})) makes one"
    if not start.strip() or any(byte < 32 and chr(byte) not in "\t\n\f\r" for byte in start):
        return "not a readable .npz file (no archive, or cut short)"
    first, *rows = start.decode("utf-8-sig", errors="replace").splitlines()
    delimiter = next((sign for sign in ",;\t" if sign in first), None)
    if words := [cell for row in rows[:1] for cell in row.split(delimiter) if not is_number(cell)]:
        problem = f"not a readable .npz file (it is text, and {words[0]!r} in its second row is no number)"
        return f"{problem}; encode such cells as numbers and save them with numpy.savez({made!r}, x=...)"
    options = [repr(str(path)), "ndmin=2"]
    options += [f"delimiter={delimiter!r}"] if delimiter else []
    options += [] if all(is_number(cell) for cell in first.split(delimiter)) else ["skiprows=1"]
    options += ["encoding='utf-8-sig'"] if start.startswith(b"\xef\xbb\xbf") else []
    call = f"numpy.savez({made!r}, x=numpy.loadtxt({', '.join(options)}))"
    return f"not a readable .npz file (it is text); {call} makes one"


def is_number(text: str) -> bool:
    """True if a cell of a table is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def memory_bytes() -> int:
    """Memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def number_labels(arrays: Arrays, path: Path) -> tuple[str, ...] | None:
    """Replace names as labels by numbers; returns the names in alphabetical order, None if there are none."""
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
    if array.dtype.kind not in "buif":
        raise UserError(f"{where}: labels are whole numbers, not {array.dtype}")
    with np.errstate(invalid="ignore"):
        whole = array.astype(np.int64)
    check(array, whole == array, "a whole number; remove y if it is no class", where)
    check(array, whole >= 0, "0 or more; remove y if labels are unknown", where)
    return torch.from_numpy(whole)
