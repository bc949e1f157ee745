"""Users' own arrays in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor

from vae_cli.datasets.array_files import Rows, open_arrays, shaped_as_examples, whole
from vae_cli.datasets.array_rows import ArrayRows
from vae_cli.datasets.arrays import event_shape, floats, numbers
from vae_cli.datasets.dataset import OwnDataset, Source
from vae_cli.datasets.labels import factors, labels, number_labels
from vae_cli.datasets.split import Split
from vae_cli.errors import UserError
from vae_cli.types import PositiveFloat

PARTS = ("", "_train", "_val", "_test")


@dataclass(frozen=True, kw_only=True)
class Array(OwnDataset):
    """Arrays of a file: x_train, x_test and optionally x_val, or one array x that is split by seeds.

    x is (N, D), (N, H, W) or (N, C, H, W). Optional labels y (or y_train, ...), (N,), are integers from 0 or names.
    Optional factors (N, F), with factor_names (F,), are scored by the metrics of disentanglement. Bytes (uint8) count
    as k/255 if domain is levels, or if domain is unit and x are images.

    Args:
        path: file .npz, .npy, .h5, .hdf5, .zarr or .pt
        x: name of the array of examples
        y: name of the array of labels
        factors: name of the array of factors
        memory_gb: GiB; a larger array stays on disk and is read in blocks
    """

    path: str
    x: str = "x"
    y: str = "y"
    factors: str = "factors"
    memory_gb: PositiveFloat = 4.0

    name: ClassVar[str] = "array"

    def read(self) -> Source:
        """The arrays, checked: UserError names the file, the array and the row."""
        path = Path(self.path).expanduser()
        file = open_arrays(path)
        names = self._names(path, file)
        xs, ys = self._arrays(file, "x"), self._arrays(file, "y")
        for part in ys:
            if part not in xs:
                raise UserError(f"{path}: holds {self.y}{part}, but no {self.x}{part} that it labels")
        ys, class_names = number_labels({f"{self.y}{part}": whole(y) for part, y in ys.items()}, str(path))
        known = {f"{self.x}{part}": whole(v) for part, v in self._arrays(file, "factors").items()}
        called = file.get("factor_names")
        of_each = factors(known, None if called is None else whole(called), str(path))
        splits = dict[str, Split]()
        for part in names:
            name, y = f"{self.x}{part}", f"{self.y}{part}"
            x = self._examples(xs[part], f"{path}: {name}")
            label = labels(ys[y], len(x), f"{path}: {y}") if y in ys else None
            splits[part] = Split(x, label, factors=of_each.get(name))
        shapes = {f"{self.x}{part}": split.event_shape for part, split in splits.items()}
        if len(set(shapes.values())) > 1:
            has = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise UserError(f"{path}: has events of different shapes: {has}")
        train = splits["" if "" in splits else "_train"]
        return Source(self.domain, train, splits.get("_test"), val=splits.get("_val"), class_names=class_names)

    def _arrays(self, file: Mapping[str, Rows], key: str) -> dict[str, Rows]:
        """The arrays of one key, by the rest of their names."""
        name = getattr(self, key)
        return {part: file[f"{name}{part}"] for part in PARTS if f"{name}{part}" in file}

    def _names(self, path: Path, file: Mapping[str, Rows]) -> list[str]:
        """The parts of x; UserError if one that is needed is not there."""
        x, found = self.x, list(file)
        parts = [part for part in PARTS if f"{x}{part}" in found]
        if "" not in parts and not {"_train", "_test"} <= set(parts):
            holds = ", ".join(found[:20]) or "no array"
            way = shaped_as_examples(file) or f"save one with numpy.savez(path, {x}=...)"
            raise UserError(f"{path}: needs an array {x}, or {x}_train and {x}_test; it holds {holds}; {way}")
        others = [f"{name}{part}" for name in (x, self.y) for part in PARTS[1:] if f"{name}{part}" in found]
        if "" in parts and others:
            problem = f"{path}: holds {x} beside {', '.join(others)}"
            raise UserError(f"{problem}; rename the training data {x}_train (and {x}_test), or drop the others")
        return parts

    def _examples(self, array: Rows, where: str) -> Tensor | ArrayRows:
        """x in memory, or rows on disk where it is too large for that."""
        shape = event_shape(array.shape, where)
        if prod(array.shape) * np.dtype(array.dtype).itemsize <= self.memory_gb * 2**30:
            x = whole(array)
            self.warn_of_bytes(where, x)
            return self.stored(x, where)
        head = numbers(array[:1], where)
        dtype = floats(head) if self.standardises(len(shape)) else np.float32
        return ArrayRows(array, shape, self.domain, where, dtype)
