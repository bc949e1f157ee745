"""Examples for a trained model: a split of the run, a file, a folder, arrays, DataFrames or an iterator of them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.datasets.arrays import events_like, floats, numbers
from vae_cli.datasets.new_data import NewData, read_like
from vae_cli.datasets.split import SplitName
from vae_cli.errors import UserError, loaded_class
from vae_cli.runs.folder import RunFolder

if TYPE_CHECKING:
    from pandas import Series

    from vae_cli.commands.run import Run

Source = ArrayLike | Tensor | str | Path | Iterator[Any]
"""x: an array, a tensor or a DataFrame (N, *event); the name of a split; the path of a file; an iterator of arrays."""
Columns = dict[str, NDArray[Any]]
SPLITS: dict[str, SplitName] = {"train": "train", "val": "val", "test": "test"}
STDIN = "-"
BLOCK = 1024
"""Examples that are read and encoded at a time."""


@dataclass(frozen=True)
class Examples:
    """Batches in the order of the source, each with the columns that identify its rows.

    total: number of examples; None for an iterator
    """

    total: int | None
    batches: Iterator[tuple[Columns, Batch]]


def examples(run: Run, source: Source) -> Examples:
    """The examples of a source; arrays are in the units of the run's data."""
    if isinstance(source, str) and source == STDIN:
        return _of_stdin(run)
    if isinstance(source, str | Path):
        name = SPLITS.get(str(source))
        return of_split(run, name) if name else _of_file(run, Path(source))
    if isinstance(source, Iterator):
        return Examples(None, _of_blocks(run, source))
    x = _array(run, source)
    return Examples(len(x), _of_blocks(run, (x[start : start + BLOCK] for start in range(0, max(1, len(x)), BLOCK))))


def of_split(run: Run, name: SplitName, most: int | None = None) -> Examples:
    """A split of the run's data, or at most `most` examples of it, drawn by a fixed seed, with their labels."""
    split, data = getattr(run.data, name), run.data
    chosen = torch.arange(len(split))
    if most is not None and most < len(split):
        chosen = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:most].sort().values
        data = replace(data, **{name: split.select(chosen)})
    loader = data.loader(name, batch_size=BLOCK, seed=0, shuffle=False, device=run.module.device)
    ids = split.rows.numpy() if split.files is None else np.array(split.files)

    def batches() -> Iterator[tuple[Columns, Batch]]:
        for batch in loader:
            index = chosen[batch.index.cpu()]
            names = {"id": ids[index.numpy()]}
            labels = {} if batch.y is None else {"label": batch.y.cpu().numpy()}
            if labels and run.class_names:
                labels = {"label": np.array(run.class_names)[labels["label"]]}
            yield names | labels, replace(batch, index=index.to(batch.index.device))

    return Examples(len(chosen), batches())


def _of_file(run: Run, path: Path) -> Examples:
    """The examples of a file or a folder, read as the run's own data were."""
    return _of_new(run, read_like(RunFolder(run.folder), path))


def _of_new(run: Run, found: NewData) -> Examples:
    return Examples(len(found), (({"id": ids}, _batch(run, x, found.where, 0)) for ids, x in found.blocks(BLOCK)))


def _of_stdin(run: Run) -> Examples:
    """The rows of CSV on stdin."""
    with NamedTemporaryFile(suffix=".csv") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        try:
            return _of_new(run, replace(read_like(RunFolder(run.folder), file.name), where="stdin"))
        except UserError as error:
            raise UserError(str(error).replace(file.name, "stdin"), error.exit_code) from error


def _array(run: Run, x: Any) -> NDArray[Any]:
    """An array of numbers; the columns of a DataFrame are those of the training data, by their names."""
    if isinstance(x, loaded_class("pandas", "DataFrame")):
        entries = run.schema.entries or tuple(x.columns)
        if missing := [name for name in entries if name not in x.columns]:
            raise UserError(f"x has no column {missing[0]}; the model takes {', '.join(entries)}")
        x = x[list(entries)]
        if np.asarray(x).dtype.kind == "O":  # of several types, or with pandas' own
            x = np.stack([_column(x[name], name) for name in entries], 1)
    return numbers(x, "x")


def _column(values: Series, name: str) -> NDArray[np.float64]:
    """The numbers of a column; an absent one is nan."""
    from pandas import to_numeric

    try:
        if values.dtype.kind in "mM":
            raise TypeError("dates")
        found: Any = to_numeric(values)
        return found.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise UserError(f"x: column {name} holds {values.dtype}; numbers are needed, convert it") from error


def _of_blocks(run: Run, blocks: Iterator[Any]) -> Iterator[tuple[Columns, Batch]]:
    """Arrays one after the other; the rows count from 0."""
    first = 0
    for x in blocks:
        batch = _batch(run, _array(run, x), f"this model scores {run.facts.domain} data; x", first)
        yield {"id": np.arange(first, first + len(batch))}, batch
        first += len(batch)
    if not first:
        raise UserError("x: the iterator holds no examples; give at least one array")


def _batch(run: Run, x: NDArray[Any], where: str, first: int) -> Batch:
    """Rows from `first` on of an array, as the model sees them."""
    facts, units = run.facts, run.facts.standardisation
    rows = f" (rows from {first})" if first else ""
    stored = events_like(x, facts.event_shape, facts.domain, where + rows, floats(x) if units else np.float32)
    tensor = (units.standardise(stored) if units else stored).to(run.module.device)
    return numbered(tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor)


def numbered(x: Tensor) -> Batch:
    """A batch of new examples, which count from 0."""
    return Batch(x, torch.arange(len(x), device=x.device))


def example(run: Run, source: str) -> Batch:
    """One example: SPLIT:ROW, FILE:ROW, or the first one of a file."""
    name, colon, row = source.rpartition(":")
    if not colon or not row.isdigit() or Path(source).exists():
        name, row = source, "0"
    position = int(row)
    for _, batch in examples(run, name).batches:
        if position < len(batch):
            return batch.part(position, 1)
        position -= len(batch)
    raise UserError(f"{source}: there is no row {row}; rows count from 0")
