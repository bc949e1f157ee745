"""A terminal or a pipe that may be closed while a command runs: later output is lost without an error."""

from __future__ import annotations

import errno
import io
import os
import sys
from stat import S_ISFIFO
from typing import Any


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


def _may_close(stream: io.TextIOWrapper) -> bool:
    piped = isinstance(_raw(stream), io.FileIO) and S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    return piped or stream.isatty()


def _raw(stream: io.TextIOWrapper) -> Any:
    return getattr(stream.buffer, "raw", stream.buffer)  # the buffer itself under PYTHONUNBUFFERED
