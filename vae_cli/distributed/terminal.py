"""Text on the terminal: it stays in the run's log; a terminal or pipe that closes during a command is no error."""

from __future__ import annotations

import errno
import io
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from logging.handlers import MemoryHandler
from stat import S_ISFIFO
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

GAP = "  "
"""Between two columns of a line."""


class Terminal(io.FileIO):
    """A file descriptor that accepts output after its terminal or pipe is closed."""

    def write(self, data: Any, /) -> int | None:
        """Write, or, where nobody reads any more, do nothing."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EPIPE):
                raise
            return memoryview(data).nbytes


def outlive() -> None:
    """Let stdout and stderr survive the end of their terminal or pipe, as after `| head`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and _may_close(stream) and not isinstance(_raw(stream), Terminal):
            raw = Terminal(stream.fileno(), "w", closefd=False)
            stream.flush()
            settings = {"encoding": stream.encoding, "errors": stream.errors, "line_buffering": True}
            setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(raw), **settings))


label: ContextVar[str] = ContextVar("label", default="")
"""The start of each line that the present thread writes to a stream of several jobs."""


class Labelled(io.TextIOBase):
    """A stream of several jobs, as of several processes: each line is written at once, after the label of its job."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.begun: dict[str, str] = {}

    def write(self, text: str, /) -> int:
        """Write the lines that are whole; the rest waits."""
        own = label.get()
        whole, end, self.begun[own] = (self.begun.get(own, "") + text).rpartition("\n")
        if end:
            self.stream.write("".join(f"{own}{line}".rstrip() + "\n" for line in whole.split("\n")))
            self.stream.flush()
        return len(text)

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.stream.encoding


def _may_close(stream: io.TextIOWrapper) -> bool:
    piped = isinstance(_raw(stream), io.FileIO) and S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    return piped or stream.isatty()


_data: list[io.TextIOWrapper] = []
"""The stream of stdout while messages go to stderr."""


def free_stdout() -> None:
    """Send all messages to stderr from now on, because stdout carries data."""
    assert isinstance(sys.stdout, io.TextIOWrapper)
    _data.append(sys.stdout)
    sys.stdout = sys.stderr


def data_stream() -> IO[bytes]:
    """The stream of stdout, for data."""
    return cast(IO[bytes], _data[-1].buffer)


def say(text: str) -> None:
    """Print text; the log of the run, if there is one, keeps it with its time."""
    print(text, flush=True)
    note(text)


def note(text: str) -> None:
    """Keep text in the log of the run alone."""
    logging.getLogger("vae_cli").info(text)


def begin_log() -> None:
    """Write the lines that the log of the run has kept, and from now on each line at once."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, MemoryHandler):
            handler.capacity = 1
            handler.flush()


def is_live() -> bool:
    """True if stdout is a terminal on which a line can be drawn again; jobs side by side have TERM=dumb."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def width() -> int | None:
    """Columns of the terminal for a line; None for a pipe or a file, whose lines have no limit."""
    return shutil.get_terminal_size().columns - len(label.get()) if sys.stdout.isatty() else None


def fitting(parts: Iterable[str], columns: int | None) -> str:
    """The first of `parts`, side by side, that fit into so many columns.

    >>> fitting(["epoch 1/2", "loss 164.21", "rate 22.02"], 25)
    'epoch 1/2  loss 164.21'
    """
    line = ""
    for part in parts:
        longer = f"{line}{GAP}{part}" if line else part
        if columns is not None and len(longer) > columns:
            break
        line = longer
    return line


def widest(console: Console, columns: Sequence[str], table: Callable[[Sequence[str]], Table]) -> Table:
    """The table of the first of `columns`, as many as the console has room for."""
    from rich.measure import Measurement

    unlimited = console.options.update(max_width=10_000)
    while columns and Measurement.get(console, unlimited, table(columns)).maximum > console.width:
        columns = columns[:-1]
    return table(columns)


def clock(seconds: float) -> str:
    """A duration as on a clock.

    >>> clock(38), clock(754), clock(3723)
    ('0:38', '12:34', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _raw(stream: io.TextIOWrapper) -> Any:
    return getattr(stream.buffer, "raw", stream.buffer)  # the buffer itself under PYTHONUNBUFFERED
