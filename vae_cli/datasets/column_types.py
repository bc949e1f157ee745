"""The types of the columns of a table, which their values show; imports pyarrow."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from vae_cli.datasets.columns import Column
from vae_cli.datasets.numbers_in_text import Decimal, as_numbers
from vae_cli.datasets.table_files import TableFile
from vae_cli.errors import UserError
from vae_cli.runs.overrides import shell_list
from vae_cli.types import ColumnKind, FoundKind

FEW_LEVELS = 10
"""Most values of a column of whole numbers in a row that counts as ordinal."""
DATE = r"^\d{4}-\d\d?-\d\d?([T ].*)?$|^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?$"
IDENTIFIER = r"^(|id|index|uuid|key|unnamed: 0|.*_id)$"
"""Names of columns of whole numbers, all different, that are no quantity."""
CODE = r"^0\d+$"
"""A text of digits that is no number, as a postal code: a zero in front would be lost."""


@dataclass(frozen=True)
class Values:
    """A column with its numbers, float32 or float64; None for texts and dates."""

    column: Column
    numbers: np.ndarray | None


def examine(file: TableFile, decimal: Decimal, label: str | None = None) -> list[Values]:
    """The columns of a file with the types that their values show; UserError names a cell that is empty.

    Args:
        label: column of the labels
    """
    found = []
    for name, cells in zip(file.table.column_names, file.table.columns, strict=True):
        refuse_empty(cells, name, file, label)
        if name == label:
            found.append(Values(Column(name, "label"), None))
            continue
        if is_date(cells):
            found.append(Values(Column(name, "date"), None))
            continue
        numbers = as_numbers(cells, name, file.place, str(file.path), decimal)
        texts = numbers is None or (is_text(cells) and bool(pc.any(pc.match_substring_regex(cells, CODE)).as_py()))
        kind = number_kind(numbers, name) if numbers is not None and not texts else text_kind(cells)
        named = texts and kind in ("binary", "categorical")
        levels = tuple(sorted(map(str, pc.unique(cells).to_pylist()))) if named else ()
        found.append(Values(Column(name, kind, levels), numbers))
    return found


def refuse_empty(cells: pa.ChunkedArray, name: str, file: TableFile, label: str | None) -> None:
    """Raise UserError for the first cell that is empty."""
    if (first := first_empty(cells)) < 0:
        return
    table = file.table
    full = [one for one in table.column_names if one != label and first_empty(table[one]) < 0]
    without = f", or train without the column, use {shell_list('dataset.columns', full)}" if full else ""
    cell = f"{file.path}: {file.place(first)}, column {name}"
    raise UserError(f"{cell}: the cell is empty, and missing cells come later; leave the row out{without}")


def first_empty(cells: pa.ChunkedArray) -> int:
    """The row of the first cell that is empty; -1 if there is none."""
    return pc.index(pc.is_null(cells, nan_is_null=pa.types.is_floating(cells.type)), True).as_py()


def is_date(cells: pa.ChunkedArray) -> bool:
    """True if all cells are dates or times."""
    if pa.types.is_temporal(cells.type):
        return True
    return is_text(cells) and bool(pc.all(pc.match_substring_regex(cells, DATE)).as_py())


def is_text(cells: pa.ChunkedArray) -> bool:
    """True for a column of strings."""
    return pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)


def text_kind(cells: pa.ChunkedArray) -> FoundKind:
    """The type of a column of texts."""
    count = pc.count_distinct(cells).as_py()
    if count == 1:
        return "constant"
    if count == len(cells):
        return "identifier"
    return "binary" if count == 2 else "categorical"


def number_kind(values: np.ndarray, name: str) -> FoundKind:
    """The type of a column of numbers."""
    low, high = values.min(), values.max()
    if low == high:
        return "constant"
    if not (np.rint(values) == values).all():
        return "positive" if low > 0 else "real"
    levels = np.unique(values)
    in_a_row = high - low == len(levels) - 1
    if len(levels) == len(values) > FEW_LEVELS and (
        bool(pc.match_substring_regex(pa.scalar(name.lower()), IDENTIFIER).as_py())
        or (in_a_row and (np.diff(values) == 1).all())
    ):
        return "identifier"
    if len(levels) == 2 and low == 0 and high == 1:
        return "binary"
    if in_a_row and len(levels) <= FEW_LEVELS:
        return "ordinal"
    return "real" if low < 0 else "count"


def overridden(found: Sequence[Values], types: Mapping[ColumnKind, Sequence[str]], where: str) -> list[Values]:
    """The columns with the types that the user states; UserError for one that the values refute."""
    columns = {one.column.name: one for one in found}
    for kind, names in types.items():
        for name in names:
            if name not in columns:
                has = f"{where} has no column {name}; it has {', '.join(list(columns)[:20])}"
                raise UserError(f"dataset.types.{kind}: {has}")
            one = columns[name]
            if kind in ("real", "positive", "count") and one.numbers is None:
                raise UserError(f"dataset.types.{kind}: the column {name} holds no numbers; remove it from the list")
            columns[name] = replace(one, column=replace(one.column, kind=kind))
    return list(columns.values())


def matrix(used: Sequence[Values]) -> np.ndarray:
    """The numbers of columns side by side, (N, D): float32 if all are, else float64."""
    numbers = [one.numbers for one in used if one.numbers is not None]
    out = np.empty((len(numbers[0]), len(numbers)), np.result_type(*numbers))
    for k, values in enumerate(numbers):
        out[:, k] = values
    return out


def identifiers(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers, by which tables join, or texts."""
    whole = pa.types.is_integer(column.type) and not column.null_count
    return column.to_numpy() if whole else np.array([str(one) for one in column.to_pylist()])


def labels(cells: pa.ChunkedArray) -> tuple[Tensor, tuple[str, ...]]:
    """The labels (N,), and their names in order."""
    levels = pc.unique(cells)
    levels = levels.take(pc.array_sort_indices(levels))
    indices = pc.index_in(cells, value_set=levels).to_numpy().astype(np.int64)
    return torch.from_numpy(indices), tuple(map(str, levels.to_pylist()))
