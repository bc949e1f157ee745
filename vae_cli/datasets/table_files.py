"""Files of tables: CSV as spreadsheets write it, Parquet and Feather."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vae_cli.datasets.numbers_in_text import Decimal, decimal_of, without_spaces
from vae_cli.errors import UserError, counted, first_line
from vae_cli.types import TABLES, TEXTS, table_ending

MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?", "#N/A", "#NV"]
"""Cells that count as empty."""


@dataclass(frozen=True)
class TableFile:
    """The table of a file; its cells are texts if the file is a text.

    text, delimiter, header: of a file of text, as UTF-8; header: True if its first row has names
    """

    path: Path
    table: pa.Table
    text: bytes = b""
    delimiter: str = ""
    header: bool = False

    def only(self, columns: Sequence[str]) -> TableFile:
        """The file with these columns; UserError names those that it lacks."""
        names = self.table.column_names
        if absent := [name for name in columns if name not in names]:
            raise UserError(f"{self.path}: has no column {', '.join(absent)}; it has {', '.join(names[:20])}")
        return replace(self, table=self.table.select(list(columns)))

    def decimal(self, default: Decimal | None = None) -> Decimal:
        """The decimal sign of the numbers; `default` where they do not show it.

        Raises UserError where they do not, without a default.
        """
        if not self.text:
            return "point"
        cells = zip(self.table.column_names, self.table.columns, strict=True)
        return decimal_of(cells, self.place, str(self.path), default)

    def place(self, row: int) -> str:
        """The place of a row in a message: its line in a text, else its number from 0."""
        if not self.text:
            return f"row {row}"
        number, _ = next(islice(_lines(self.text, self.delimiter), row + self.header, None))
        return f"line {number}"


def read_table(path: Path, key: str = "dataset.path", columns: Sequence[str] | None = None) -> TableFile:
    """The table of a file, or some columns of it; UserError with the line or the column at fault."""
    if not path.is_file():
        problem = "is a folder; give a file, or use dataset=image_folder" if path.is_dir() else "there is no such file"
        raise UserError(f"{key}={path}: {problem}")
    ending = table_ending(path)
    if ending is None:
        raise UserError(f"{key}={path}: no table; they end in {', '.join(TABLES)}; use dataset=array for arrays")
    try:
        file = _text(path, ending) if ending in TEXTS else TableFile(path, _binary(path, ending))
    except UserError:
        raise
    except Exception as error:  # damaged files raise many kinds of exception
        raise UserError(f"{path}: not a readable {ending} file ({first_line(error)})") from error
    names = file.table.column_names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: two columns have the name {twice!r}; rename one of them")
    if not len(file.table):
        raise UserError(f"{path}: has no rows")
    return file if columns is None else file.only(columns)


def _binary(path: Path, ending: str) -> pa.Table:
    """The table of a binary file; categories and other forms of strings are strings."""
    from pyarrow import feather, parquet

    table = parquet.ParquetFile(path).read() if ending == ".parquet" else feather.read_table(path)
    for k, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        kind = pa.string() if kind in (pa.string_view(), pa.large_string()) else kind
        if kind != field.type:
            table = table.set_column(k, field.name, table.column(k).cast(kind))
    return table


def _text(path: Path, ending: str) -> TableFile:
    """A file of text: its encoding, its delimiter and its header are those that its content shows."""
    from pyarrow import csv as arrow

    content = path.read_bytes()
    text = _utf8(gzip.decompress(content) if path.suffix.lower() == ".gz" else content)
    first = BytesIO(text).readline()
    if first.strip().lower().startswith(b"sep=") and len(first.strip()) == 5:  # of Excel
        delimiter, text = first.strip()[4:].decode(), text[len(first) :]
    else:
        delimiter = "\t" if ending == ".tsv" and b"\t" in first else _delimiter(text)
    head = next(_lines(text, delimiter), None)
    if head is None:
        raise UserError(f"{path}: is empty")
    _refuse_years(path, head[1])
    header = not any(_numeric(cell) for cell in head[1])
    names = [cell.strip() for cell in head[1]] if header else [str(number) for number in range(len(head[1]))]
    _same_length(path, text, delimiter, len(names))
    unnamed = [f"\0{number}" for number in range(len(names))]  # names may be equal or empty
    table = arrow.read_csv(
        BytesIO(text),
        arrow.ReadOptions(column_names=unnamed, skip_rows_after_names=0, block_size=1 << 24),
        arrow.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in text),
        arrow.ConvertOptions(column_types=dict.fromkeys(unnamed, pa.string()), strings_can_be_null=False),
    )
    table = _without_empty(table.slice(1 if header else 0), names)
    return TableFile(path, table, text, delimiter, header)


def _utf8(content: bytes) -> bytes:
    """A text in UTF-8, in UTF-16 or UTF-32 with a mark, or in the code page of Windows, as UTF-8 without a mark."""
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return content.decode("utf-32").encode()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16").encode()
    if b"\0" in content[:4096]:
        raise ValueError("it is no text")
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace").encode()
    return content.removeprefix(b"\xef\xbb\xbf")


def _delimiter(text: bytes) -> str:
    """The sign that cuts the first lines into several cells, as many in each; else the first line into most."""
    lines = "".join(islice(TextIOWrapper(BytesIO(text), "utf-8"), 20)).encode()

    def cells(sign: str) -> tuple[bool, int]:
        counts = [len(row) for _, row in _lines(lines, sign)] or [0]
        return counts[0] > 1 and len(set(counts)) == 1, counts[0]

    return max(";\t,|", key=cells)


def _lines(text: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The number of its first line, and the cells, of each row that is not blank."""
    reader: Any = csv.reader(TextIOWrapper(BytesIO(text), "utf-8", newline=""), delimiter=delimiter)
    start = 1
    for row in reader:
        if row:
            yield start, row
        start = reader.line_num + 1


def _same_length(path: Path, text: bytes, delimiter: str, length: int) -> None:
    """Refuse rows of different lengths."""
    for number, row in _lines(text, delimiter):
        if len(row) != length:
            cells = f"{counted(len(row), 'cell')}, the first row has {length}"
            raise UserError(f"{path}: line {number}: {cells}; correct the line (delimiter {delimiter!r})")


def _refuse_years(path: Path, head: Sequence[str]) -> None:
    """Refuse a first row whose numbers are years one after the other: names of columns, or values."""
    cells = [cell.strip() for cell in head if _numeric(cell)]
    years = [int(cell) for cell in cells if cell.isdecimal() and 1800 <= int(cell) <= 2100]
    if len(years) > 1 and years == [*range(years[0], years[0] + len(cells))]:
        problem = f"{years[0]}, {years[1]} may be names of columns or values"
        raise UserError(f"{path}: line 1: {problem}; write names with letters into the first line, as in y{years[0]}")


def _numeric(cell: str) -> bool:
    """True if a cell of the first row cannot be a name."""
    return any(sign.isdigit() for sign in cell) and not any(sign.isalpha() and sign not in "eE" for sign in cell)


def _without_empty(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The table with its names, without rows at its end and columns that are empty; missing cells are null."""
    columns = []
    for cells in table.columns:
        trimmed = pc.utf8_trim_whitespace(cells)
        plain = pc.if_else(pc.is_in(trimmed, pa.array(MISSING)), pa.scalar(None, pa.string()), trimmed)
        columns.append(without_spaces(plain))
    kept = [k for k, cells in enumerate(columns) if names[k] or cells.null_count < len(cells)]
    made = pa.table([columns[k] for k in kept], names=[names[k] or f"unnamed: {k}" for k in kept])
    length = len(made)
    while length and all(not cells[length - 1].is_valid for cells in made.columns):
        length -= 1
    return made.slice(0, length)
