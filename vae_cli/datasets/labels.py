"""Labels and factors of users' own examples: names or numbers, checked row by row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from vae_cli.datasets.arrays import check
from vae_cli.datasets.split import Factors
from vae_cli.errors import UserError, counted

MOST_VALUES = 1000
"""Values of a factor; a factor with more is continuous."""


def texts(array: np.ndarray) -> np.ndarray:
    """Strings of any type as numpy's; other arrays as they are."""
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind in "OT":  # of HDF5 and of zarr
        words = [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in array.ravel()]
        return np.array(words, dtype="U").reshape(array.shape)
    return array


def number_labels(ys: Mapping[str, np.ndarray], where: str) -> tuple[dict[str, np.ndarray], tuple[str, ...] | None]:
    """Names as labels replaced by numbers, and the names in alphabetical order; None if there are none."""
    read = {name: texts(y) for name, y in ys.items()}
    named = [name for name, y in read.items() if y.dtype.kind == "U"]
    if not named:
        return read, None
    if others := [name for name in read if name not in named]:
        raise UserError(
            f"{where}: {named[0]} holds names, {others[0]} holds {read[others[0]].dtype}; give all as names"
        )
    names = np.unique(np.concatenate([text.ravel() for text in read.values()]))
    return {name: np.searchsorted(names, text) for name, text in read.items()}, tuple(names.tolist())


def labels(array: np.ndarray, length: int, where: str) -> Tensor:
    """(N,) int64; UserError if they are no labels of these examples."""
    if array.shape != (length,):
        raise UserError(f"{where}: shape {array.shape}; needs one label for each of {counted(length, 'example')}")
    if array.dtype.kind not in "buif":
        raise UserError(f"{where}: labels are whole numbers, not {array.dtype}")
    with np.errstate(invalid="ignore"):
        whole = array.astype(np.int64)
    check(array, whole == array, "a whole number; remove y if it is no class", where)
    check(array, whole >= 0, "0 or more; remove y if labels are unknown", where)
    return torch.from_numpy(whole)


def factors(arrays: Mapping[str, np.ndarray], names: np.ndarray | None, where: str) -> dict[str, Factors]:
    """Factors (N, F) of each split, numbered in the order of their values, which all splits share.

    Args:
        names: of the F factors; None: 0, 1, ...
    """
    if not arrays:
        return {}
    if wrong := next((name for name, array in arrays.items() if array.ndim != 2), None):
        raise UserError(f"{where}: {wrong}: shape {arrays[wrong].shape}; factors have shape (N, F)")
    count = {array.shape[1] for array in arrays.values()} | ({len(names)} if names is not None else set())
    if len(count) > 1:
        numbers = ", ".join(map(str, sorted(count)))
        raise UserError(f"{where}: factors and factor_names of different numbers of factors: {numbers}")
    called = map(str, range(count.pop())) if names is None else texts(names).tolist()
    whole = texts(np.concatenate(list(arrays.values())))
    columns = [np.unique(column, return_inverse=True) for column in whole.T]
    known = tuple(map(str, called))
    for name, (values, _) in zip(known, columns, strict=True):
        if len(values) > MOST_VALUES:
            raise UserError(f"{where}: factor {name} has {len(values):,} values; give at most {MOST_VALUES:,}, as bins")
    numbered = torch.from_numpy(np.stack([index for _, index in columns], 1).astype(np.int64))
    parts = numbered.split([len(array) for array in arrays.values()])
    sizes = tuple(len(values) for values, _ in columns)
    return {name: Factors(known, sizes, part) for name, part in zip(arrays, parts, strict=True)}
