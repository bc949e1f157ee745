"""Files of arrays, opened: each array is read by slices of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol
from zipfile import is_zipfile

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from vae_cli.datasets.npz import NpzArrays
from vae_cli.errors import UserError, first_line
from vae_cli.types import TABLES, table_ending


class Rows(Protocol):
    """An array (N, ...) on disk or in memory: a slice of rows is read when it is asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


def open_arrays(path: Path, key: str = "dataset.path") -> Mapping[str, Rows]:
    """The arrays of a file by name; a file of one array without a name has x.

    Args:
        key: that names the file, in a message
    """
    suffix = path.suffix.lower()
    if not path.exists() or (path.is_dir() and suffix != ".zarr"):
        problem = "is a folder; use dataset=image_folder for images" if path.is_dir() else "there is no such file"
        raise UserError(f"{key}={path}: {problem}")
    if suffix not in READERS:
        others = (
            "; use dataset=table" if table_ending(path) else f", tables in {', '.join(TABLES)}; images lie in a folder"
        )
        raise UserError(f"{key}={path}: no file of arrays; they end in {', '.join(READERS)}{others}")
    try:
        return READERS[suffix](path)
    except UserError:
        raise
    except ImportError as error:
        package = first_line(error).split("'")[1]
        raise UserError(f"{path}: needs the package {package}; pip install 'vae-cli[arrays]'") from error
    except Exception as error:  # damaged files raise many kinds of exception
        objects = any(word in str(error) for word in ("pickle", "Python objects", "weights_only"))
        reason = "it holds Python objects; save numbers" if objects else first_line(error)
        raise UserError(f"{path}: not a readable {suffix} file ({reason})") from error


def examples_of(arrays: Mapping[str, Rows], name: str = "x") -> str | None:
    """The name of the array of examples: `name`, else that of the only array beside labels, names and factors."""
    if name in arrays:
        return name
    others = [one for one in arrays if one.lower() not in BESIDE]
    return others[0] if len(others) == 1 else None


def shaped_as_examples(arrays: Mapping[str, Rows]) -> str:
    """The choices of dataset.x among the arrays of a file, as a remedy; empty if none can hold examples."""
    names = [name for name, array in arrays.items() if len(array.shape) in (2, 3, 4)]
    return f"use dataset.x={'|'.join(names[:20])}" if names else ""


def whole(array: Rows) -> np.ndarray:
    """All rows of an array; a single number as it is."""
    return np.asarray(array[:] if array.shape else array)


def write_npy_header(stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """The start of a .npy file; the values in C order follow, which need not be in memory together."""
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})


def _npy(path: Path) -> Mapping[str, Rows]:
    array = open_memmap(path, mode="r")
    return {"x": _Mapped(path, array.dtype, array.shape, array.offset, "F" if array.flags.fnc else "C")}


@dataclass(frozen=True)
class _Mapped:
    """The array of a .npy file, mapped for each slice, so that the memory of a process holds no more than that."""

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int
    order: Any

    def __getitem__(self, rows: slice) -> np.ndarray:
        mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)
        return np.array(mapped[rows])


def _hdf5(path: Path) -> Mapping[str, Rows]:
    import h5py

    found: dict[str, Any] = {}
    h5py.File(path, "r").visititems(found.__setitem__)  # of all groups; returns at the first value that is not None
    return {str(name): item for name, item in found.items() if isinstance(item, h5py.Dataset) and item.shape}


def _zarr(path: Path) -> Mapping[str, Rows]:
    import zarr

    found: Any = zarr.open(str(path), mode="r")
    members = [("x", found)] if isinstance(found, zarr.Array) else found.members(max_depth=None)
    arrays: dict[str, Any] = {name: item for name, item in members if isinstance(item, zarr.Array)}
    return arrays


def _torch(path: Path) -> Mapping[str, Rows]:
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))  # early ones are no archives
    items = found if isinstance(found, dict) else {"x": found}
    if other := next((name for name, item in items.items() if not isinstance(item, Tensor)), None):
        raise UserError(f"{path}: {other} is {type(items[other]).__name__}; save a tensor, or tensors by their names")
    return {str(name): _floats(item) for name, item in items.items()}


def _floats(tensor: Tensor) -> np.ndarray:
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()


READERS: dict[str, Callable[[Path], Mapping[str, Rows]]] = {
    ".npz": NpzArrays,
    ".npy": _npy,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".zarr": _zarr,
    ".pt": _torch,
    ".pth": _torch,
}
"""Readers by the suffix of a file."""
BESIDE = ("y", "ids", "factors", "factor_names")
"""Arrays that accompany the examples."""
