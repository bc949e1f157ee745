"""New data for a trained model, read as its training data were: `read_like(run, path)`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from vae_cli.datasets.array_files import Rows, examples_of, open_arrays, whole
from vae_cli.datasets.arrays import events_like, floats, numbers
from vae_cli.datasets.files import gunzip, read_bytes
from vae_cli.datasets.idx import parse_idx
from vae_cli.datasets.image_folder import image_names
from vae_cli.datasets.images import FORMATS, ImageFiles
from vae_cli.datasets.labels import texts
from vae_cli.datasets.schema import Schema
from vae_cli.errors import UserError, counted, warn
from vae_cli.runs.folder import RunFolder
from vae_cli.types import table_ending

IDX = (".idx", "-ubyte", "-ubyte.gz")
"""Ends of the names of IDX files, which MNIST and its relatives are published in."""


@dataclass(frozen=True)
class NewData:
    """New examples in the order of their source, and an identifier for each: its row, its file, or its own.

    schema: of the training data
    where: the source in a message
    """

    schema: Schema
    where: str
    ids: np.ndarray
    rows: Rows

    def __post_init__(self) -> None:
        if not len(self):
            raise UserError(f"{self.where}: holds no examples; give at least one")

    def __len__(self) -> int:
        return len(self.ids)

    def blocks(self, size: int = 4096) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(ids, x) of successive examples; x (n, *event) is float, in the units of the data, n at most `size`.

        Reads one block at a time. UserError names the row at fault; a warning names the first value beyond the range
        of the training data.
        """
        told = False
        for start in range(0, len(self), size):
            x = self._read(start, min(start + size, len(self)))
            if not told and (difference := self.schema.outside(x)):
                told = True
                warn(f"{self.where}: rows from {start}: {difference}")
            yield self.ids[start : start + len(x)], x

    def array(self) -> np.ndarray:
        """All examples at once, (N, *event)."""
        return np.concatenate([x for _, x in self.blocks()])

    def _read(self, start: int, stop: int) -> np.ndarray:
        schema = self.schema
        array = numbers(self.rows[start:stop], self.where)
        dtype = floats(array) if schema.mean else np.float32
        where = f"{self.where} (rows from {start})" if start else self.where
        x = events_like(array, schema.event_shape, schema.read_domain, where, dtype)
        values = x.float().div(255) if x.dtype == torch.uint8 else x
        return schema.binarised(values.numpy())


def read_like(run: RunFolder, path: str | Path) -> NewData:
    """New data of a file or a folder, read as the training data of the run were.

    A file of arrays (.npz, .npy, .h5, .zarr, .pt) has x, and optionally ids. A table has the columns of the training
    data; its first identifier gives the ids. Other files are IDX files and images; a folder holds images. Shape,
    domain, binarisation and channels are those of the run's schema; a difference that the model cannot take is a
    UserError.
    """
    schema, place = Schema.read(run), Path(path).expanduser()
    if not place.exists():
        raise UserError(f"data={path}: there is no such file or folder")
    if place.is_dir() and place.suffix != ".zarr":
        names = image_names(place)
        if not names:
            raise UserError(f"data={path}: no images; files with the endings {', '.join(FORMATS)} are read")
        return _images(schema, place, names)
    if place.suffix.lower() in FORMATS:
        return _images(schema, place.parent, (place.name,))
    if table_ending(place):
        return _table(schema, place)
    if place.name.endswith(IDX):
        array = parse_idx(gunzip(read_bytes(place), place), place).numpy()
        return NewData(schema, str(place), np.arange(len(array)), array)
    arrays = open_arrays(place, "data")
    named = OmegaConf.select(run.config(), "dataset.x") if run.has_config else None
    if (name := examples_of(arrays, named or "x")) is None:
        holds = ", ".join(arrays) or "no array"
        raise UserError(f"{place}: needs an array {named or 'x'}; it holds {holds}; save the examples under this name")
    x, ids = arrays[name], arrays.get("ids")
    if not x.shape:
        raise UserError(f"{place}: {name}: a single number; give examples (N, *{schema.event_shape})")
    if ids is not None and ids.shape[0] != x.shape[0]:
        raise UserError(
            f"{place}: ids holds {counted(ids.shape[0], 'name')}, x {counted(x.shape[0], 'example')}; give one for each"
        )
    return NewData(schema, f"{place}: {name}", np.arange(x.shape[0]) if ids is None else texts(whole(ids)), x)


def _images(schema: Schema, folder: Path, names: tuple[str, ...]) -> NewData:
    """Images, scaled and cropped to the size and in the channels of the training data."""
    shape = schema.event_shape
    if len(shape) != 3 or shape[0] not in (1, 3) or shape[1] != shape[2]:
        raise UserError(f"{folder}: images, but this model takes x of shape {shape}; give arrays of that shape")
    files = ImageFiles(folder, names, shape[1], "grey" if shape[0] == 1 else "rgb", 0, schema.background)
    return NewData(schema, str(folder), np.array(names), _Decoded(files))


def _table(schema: Schema, path: Path) -> NewData:
    """The columns of the training data, by their names; of a model of arrays, all columns in their order."""
    from vae_cli.datasets import column_types as types
    from vae_cli.datasets.table_files import read_table

    file = read_table(path, "data")
    names = schema.entries or tuple(file.table.column_names)
    identifiers = [column.name for column in schema.columns if column.kind == "identifier"]
    ids = next((file.table[name] for name in identifiers if name in file.table.column_names), None)
    used = types.examine(file.only(names), file.only(names).decimal(schema.decimal))
    if text := next((one.column for one in used if one.numbers is None), None):
        raise UserError(f"{path}: column {text.name} holds {text.kind} values; in the training data it holds numbers")
    x = types.matrix(used)
    return NewData(schema, str(path), np.arange(len(x)) if ids is None else types.identifiers(ids), x)


@dataclass(frozen=True)
class _Decoded:
    """Images as rows of bytes."""

    files: ImageFiles

    dtype = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.files.shape)

    def __getitem__(self, rows: slice) -> np.ndarray:
        return torch.stack([self.files.read(number) for number in range(len(self.files))[rows]]).numpy()
