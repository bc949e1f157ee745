"""Tables of a command, written block by block: .npz, .csv and .parquet, and CSV on stdout."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vae_cli.datasets.array_files import write_npy_header
from vae_cli.distributed.terminal import data_stream
from vae_cli.runs.atomic_files import remove_of_killed, replacing

if TYPE_CHECKING:
    from pandas import DataFrame

Columns = Mapping[str, NDArray[Any]]
Write = Callable[[Columns], None]
STDOUT = "-"
ARRAYS = ".npz"


@contextmanager
def table(out: str, entries: Sequence[str] = ()) -> Iterator[Write]:
    """A function that appends a block of columns, (B,) or (B, ...), to a file, or to stdout if `out` is -.

    The file appears once it is whole. An entry of a column (B, ...) becomes a column NAME_0, NAME_1, ... of a table.

    Args:
        entries: names of the columns of the run's table, which x and its reconstruction get in a table
    """
    path = Path(out).expanduser()
    with ExitStack() as stack:
        if out == STDOUT:
            write = stack.enter_context(_csv(data_stream()))
        else:
            remove_of_killed(path)
            write = stack.enter_context(WRITERS[path.suffix.lower()](stack.enter_context(replacing(path))))
        named = entries and path.suffix.lower() != ARRAYS
        yield (lambda columns: write(_by_entry(columns, entries))) if named else write


def _by_entry(columns: Columns, entries: Sequence[str]) -> Columns:
    """x or its reconstruction as one column for each of its entries.

    An entry with the name of another column of the output, such as id, is NAME_ENTRY.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, values in columns.items():
        own = [f"{name}_{entry}" if entry in columns else entry for entry in entries]
        found |= dict(zip(own, values.T, strict=True)) if name in ("x", "reconstruction") else {name: values}
    return found


def flat(columns: Columns) -> DataFrame:
    """The columns of a table."""
    from pandas import DataFrame

    found: dict[str, Any] = {}
    for name, values in columns.items():
        rows = values.reshape(len(values), -1)
        found |= {name: values} if values.ndim == 1 else {f"{name}_{k}": rows[:, k] for k in range(rows.shape[1])}
    return DataFrame(found)


@contextmanager
def _csv(file: IO[bytes]) -> Iterator[Write]:
    begun = False

    def write(columns: Columns) -> None:
        nonlocal begun
        file.write(flat(columns).to_csv(index=False, header=not begun, lineterminator="\n").encode())
        file.flush()
        begun = True

    yield write


@contextmanager
def _parquet(file: IO[bytes]) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet

    with ExitStack() as stack:
        writers: list[parquet.ParquetWriter] = []

        def write(columns: Columns) -> None:
            rows = pa.Table.from_pandas(flat(columns), preserve_index=False)
            if not writers:
                writers.append(stack.enter_context(parquet.ParquetWriter(file, rows.schema)))
            writers[0].write_table(rows)

        yield write


@contextmanager
def _npz(file: IO[bytes]) -> Iterator[Write]:
    """Each array grows in a temporary file beside the archive, which is put together at the end; texts in memory."""
    with ExitStack() as stack:
        arrays: dict[str, _Spool] = {}
        texts: dict[str, list[NDArray[Any]]] = {}

        def write(columns: Columns) -> None:
            for name, values in columns.items():
                if values.dtype.kind == "U":  # whose width differs from block to block
                    texts.setdefault(name, []).append(values)
                    continue
                if name not in arrays:
                    spool = stack.enter_context(TemporaryFile(dir=Path(file.name).parent))
                    arrays[name] = _Spool(spool, values.dtype, values.shape[1:])
                arrays[name].append(values)

        yield write
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, parts in texts.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.concatenate(parts), allow_pickle=False)
            for name, spool in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    spool.copy(member)


WRITERS: dict[str, Callable[[IO[bytes]], AbstractContextManager[Write]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ARRAYS: _npz,
}


@dataclass
class _Spool:
    """An array on disk to which blocks of rows are appended."""

    file: IO[bytes]
    dtype: np.dtype[Any]
    event: tuple[int, ...]
    length: int = 0

    def append(self, values: NDArray[Any]) -> None:
        self.file.write(np.ascontiguousarray(values).data)
        self.length += len(values)

    def copy(self, member: IO[bytes]) -> None:
        """Write the array as the content of a .npy file."""
        write_npy_header(member, self.dtype, (self.length, *self.event))
        self.file.seek(0)
        shutil.copyfileobj(self.file, member)
