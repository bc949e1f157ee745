"""A terminal that may be closed while a command runs: later output is lost without an error."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any


class Terminal(io.FileIO):
    """A file descriptor that accepts output after its terminal is closed."""

    def write(self, data: Any, /) -> int | None:
        """Write, or, where the terminal is closed, do nothing."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return memoryview(data).nbytes


def outlive() -> None:
    """Let stdout and stderr survive the end of their terminal, if they have one."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream.isatty() and not isinstance(_raw(stream), Terminal):
            raw = Terminal(stream.fileno(), "w", closefd=False)
            stream.flush()
            settings = {"encoding": stream.encoding, "errors": stream.errors, "line_buffering": True}
            setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(raw), **settings))


def show(text: str) -> None:
    """Print text; a closed pipe, as after `| head`, is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _raw(stream: io.TextIOWrapper) -> Any:
    return getattr(stream.buffer, "raw", None)
