"""Users' own tables: CSV, TSV, Parquet and Feather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from vae_cli.datasets.columns import Column, summary
from vae_cli.datasets.dataset import OwnDataset, Source
from vae_cli.datasets.split import Split
from vae_cli.errors import UserError
from vae_cli.runs.overrides import shell_list
from vae_cli.types import ColumnKind

NUMBERS = ("real", "positive", "count", "ordinal")
"""Types of columns that a density of real numbers scores."""


@dataclass(frozen=True, kw_only=True)
class Table(OwnDataset):
    """A table of numbers, x (N, D); constant and identifier columns are left out.

    Args:
        path: file .csv, .tsv, .parquet or .feather
        columns: names of the columns to use; null: all
        types: names of columns by their type, where the type that the values show is wrong
        y: name of the column of labels; null: no labels
        decimal: decimal sign of numbers in a text; auto: the one that the numbers show
    """

    path: str
    columns: list[str] | None = None
    types: dict[ColumnKind, list[str]] = field(default_factory=dict)
    y: str | None = None
    decimal: Literal["auto", "point", "comma"] = "auto"

    name: ClassVar[str] = "table"

    def read(self) -> Source:
        """The columns, checked: UserError names the line and the column."""
        from vae_cli.datasets import column_types as types
        from vae_cli.datasets.table_files import read_table

        wanted = None if self.columns is None else [*self.columns, *filter(None, [self.y])]
        file = read_table(Path(self.path).expanduser(), columns=wanted)
        if self.y is not None and self.y not in file.table.column_names:
            names = "|".join(file.table.column_names[:20])
            raise UserError(f"dataset.y={self.y}: {file.path} has no such column; use dataset.y={names}|null")
        decimal = file.decimal() if self.decimal == "auto" else self.decimal
        found = types.overridden(types.examine(file, decimal, self.y), self.types, str(file.path))
        columns, used = tuple(one.column for one in found), [one for one in found if one.column.used]
        self._refuse_mixed(str(file.path), columns)
        x = self.stored(types.matrix(used), str(file.path))
        y, names = (None, None) if self.y is None else types.labels(file.table[self.y])
        return Source(self.domain, Split(x, y), class_names=names, columns=columns, decimal=decimal)

    def _refuse_mixed(self, where: str, columns: Sequence[Column]) -> None:
        """Refuse a table without numbers, and one of several types."""
        used = [column for column in columns if column.used]
        binary = self.domain == "binary" and all(column.kind == "binary" for column in used)
        others = [column for column in used if column.kind not in NUMBERS]
        if used and (binary or not others):
            return
        numbers = [column.name for column in used if column.kind in NUMBERS]
        bits = [column.name for column in others if column.kind == "binary" and not column.levels]
        ways = [shell_list("dataset.columns", numbers)] if numbers else []
        ways += ["dataset.domain=binary likelihood=bernoulli"] if len(bits) == len(used) > 0 else []
        ways += [f"{shell_list('dataset.types.real', bits)} for 0 and 1 as numbers"] if bits else []
        way = f"use {', or '.join(ways)}" if ways else "give columns of numbers"
        if len(columns) == 1 and not ways:
            way = "separate its cells by ; , | or tabs, and remove lines above its names"
        holds = ", ".join(summary(others)) or f"no column of numbers that varies, but {', '.join(summary(columns))}"
        raise UserError(f"{where}: holds {holds}; tables of mixed types come later; {way}")
