"""Files of arrays, opened: each array is read by slices of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vae_cli.datasets.npz import NpzArrays
from vae_cli.errors import UserError, first_line


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
        problem = "is a folder; dataset=image_folder reads one of images" if path.is_dir() else "there is no such file"
        raise UserError(f"{key}={path}: {problem}")
    if suffix not in READERS:
        return NpzArrays(path)
    try:
        return READERS[suffix](path)
    except UserError:
        raise
    except ImportError as error:
        package = first_line(error).split("'")[1]
        raise UserError(f"{path}: needs the package {package}; pip install 'vae-cli[arrays]'") from error
    except Exception as error:  # damaged files raise many kinds of exception
        objects = "pickle" in str(error) or "Python objects" in str(error)
        reason = "it holds Python objects; save numbers" if objects else first_line(error)
        raise UserError(f"{path}: not a readable {suffix} file ({reason})") from error


def _npy(path: Path) -> Mapping[str, Rows]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap):
        raise ValueError("it is no single array")
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

    file = h5py.File(path, "r")
    return {str(name): item for name, item in file.items() if isinstance(item, h5py.Dataset) and item.shape}


def _zarr(path: Path) -> Mapping[str, Rows]:
    import zarr

    found: Any = zarr.open(str(path), mode="r")
    items: dict[str, Any] = {"x": found} if isinstance(found, zarr.Array) else dict(found.arrays())
    return items


def _torch(path: Path) -> Mapping[str, Rows]:
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    items = found if isinstance(found, dict) else {"x": found}
    if other := next((name for name, item in items.items() if not isinstance(item, Tensor)), None):
        raise UserError(f"{path}: {other} is {type(items[other]).__name__}; save a tensor, or tensors by their names")
    return {str(name): _floats(item) for name, item in items.items()}


def _floats(tensor: Tensor) -> np.ndarray:
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


READERS: dict[str, Callable[[Path], Mapping[str, Rows]]] = {
    ".npy": _npy,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".zarr": _zarr,
    ".pt": _torch,
    ".pth": _torch,
}
"""Readers by the suffix of a file; all others are taken for .npz."""
