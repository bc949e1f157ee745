"""Examples for a trained model: a split of the run, a file, a folder, arrays, DataFrames or an iterator of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.datasets.arrays import numbers
from vae_cli.datasets.new_data import read_like
from vae_cli.datasets.split import SplitName
from vae_cli.runs.folder import RunFolder

if TYPE_CHECKING:
    from vae_cli.commands.run import Run

Source = ArrayLike | Tensor | str | Path | Iterator[Any]
"""x: an array, a tensor or a DataFrame (N, *event); the name of a split; the path of a file; an iterator of arrays."""
Columns = dict[str, NDArray[Any]]
SPLITS: dict[str, SplitName] = {"train": "train", "val": "val", "test": "test"}
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
    if isinstance(source, str | Path):
        name = SPLITS.get(str(source))
        return of_split(run, name) if name else _of_file(run, Path(source))
    if isinstance(source, Iterator):
        return Examples(None, _of_blocks(run, source))
    x = numbers(source, "x")
    return Examples(len(x), _of_blocks(run, (x[start : start + BLOCK] for start in range(0, max(1, len(x)), BLOCK))))


def of_split(run: Run, name: SplitName, most: int | None = None) -> Examples:
    """A split of the run's data, or at most `most` examples of it, drawn by a fixed seed, with their labels."""
    split = getattr(run.data, name)
    if most is not None and most < len(split):
        chosen = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:most].sort().values
    else:
        chosen = torch.arange(len(split))
    loader = replace(run.data, **{name: split.select(chosen)}).loader(
        name, batch_size=BLOCK, seed=0, shuffle=False, device=run.module.device
    )
    ids = np.array(split.files if split.files is not None else split.rows.tolist())

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
    found = read_like(RunFolder(run.folder), path)
    blocks = ((np.array(ids), x) for ids, x in found.blocks(BLOCK))
    return Examples(len(found), (({"id": ids}, run.batch(x)) for ids, x in blocks))


def _of_blocks(run: Run, blocks: Iterator[Any]) -> Iterator[tuple[Columns, Batch]]:
    """Arrays one after the other; the rows count from 0."""
    first = 0
    for x in blocks:
        batch = run.batch(x, first)
        yield {"id": np.arange(first, first + len(batch))}, batch
        first += len(batch)
