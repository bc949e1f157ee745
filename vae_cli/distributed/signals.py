"""Signals that stop a command: at once, or, while a model trains, once it has been saved.

Before a command begins its work and after it has ended, a signal ends the process (`begin`, `finish`): an exception in
the middle of an import or of the interpreter's exit would show a traceback, or be lost. In between a signal raises an
exception (`listen`), once: further signals must not disturb the writing of files.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from vae_cli.distributed.rank import is_rank_zero
from vae_cli.errors import loaded_class


class Terminated(SystemExit):
    """Raised at SIGTERM, as KeyboardInterrupt is at Ctrl-C."""


class HungUp(SystemExit):
    """Raised at SIGHUP: the terminal is closed."""


class TimeLimit(SystemExit):
    """Raised at SIGUSR2, by which SLURM announces the time limit of the job."""


@dataclass(frozen=True)
class Stop:
    """A way to stop a process: the exception, the words of its message, its exit code, the status of the run."""

    error: type[BaseException]
    words: str
    exit_code: int
    status: str = "interrupted"

    def caused(self, kinds: Iterable[type[BaseException]]) -> bool:
        """True if it causes exceptions of these classes; Lightning has its own class for SIGTERM."""
        lightning = loaded_class("pytorch_lightning.utilities.exceptions", "SIGTERMException")
        own = lightning if self.error is Terminated else ()
        return any(kind is self.error or issubclass(kind, own) for kind in kinds)


STOPS = {
    signal.SIGTERM: Stop(Terminated, "terminated", 143),
    signal.SIGHUP: Stop(HungUp, "the terminal was closed", 129),
    signal.SIGUSR2: Stop(TimeLimit, "the time limit is near", 143, "requeued"),
    signal.SIGINT: Stop(KeyboardInterrupt, "interrupted", 130),
}
"""By signal. The first one counts where an exception has several causes."""
ANYWHERE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that stop a command outside of a SLURM job, too."""
INTERRUPTED, TIME_LIMIT = STOPS[signal.SIGINT].exit_code, STOPS[signal.SIGUSR2].exit_code
NOTICE = b"\nstopping once this batch is done and saved; a second signal stops at once\n"
GRACE = 5.0
"""Seconds that a process has to end after a signal; a later signal ends it at once."""


@dataclass
class _State:
    """The signal that was raised, and its time; `kept` is a signal that waits while `writing` files are written."""

    raised: int | None = None
    since: float = 0.0
    writing: int = 0
    kept: int | None = None


_state = _State()


def begin(command: str) -> None:
    """Let a signal end the process at once, with a line; ignored signals stay ignored."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        with suppress(OSError):
            if is_rank_zero():
                os.write(2, f"{command}: error: {STOPS[signal.Signals(number)].words}\n".encode())
        os._exit(128 + number)

    _take(leave, ANYWHERE, signal.SIG_DFL, signal.default_int_handler)


def listen() -> None:
    """Let signals raise an exception, SIGUSR2 in a SLURM job only; handlers of other code stay."""
    from vae_cli.distributed import slurm

    _state.raised = _state.kept = None
    numbers = [*ANYWHERE, *([signal.SIGUSR2] if slurm.job() else [])]
    _take(stop, numbers, signal.SIG_DFL, signal.default_int_handler)


def finish(code: int) -> None:
    """Let a signal end the process at once with this code, after all files are written."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        os._exit(code)

    _take(leave, ANYWHERE)


def ignore(*numbers: int) -> None:
    """Ignore these signals; without an argument SIGTERM, SIGUSR2 and SIGHUP, because the process ends anyway."""
    if _ours_to_set():
        for number in numbers or (signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


def stop(number: int, frame: FrameType | None = None) -> None:
    """Raise the exception of a signal, once: after the file that is being written, and not while the process ends."""
    if _state.raised is not None:
        if time.monotonic() - _state.since > GRACE:
            os._exit(128 + number)  # files are whole or absent at any moment
    elif _state.writing:
        _state.kept = _state.kept or number
    else:
        _raise(number)


def exit_code(stop: SystemExit) -> int:
    """The exit code of a process that ends by this exception."""
    return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


def raised() -> int | None:
    """The signal that ends this process, if any."""
    return _state.raised


@contextmanager
def held_back() -> Iterator[None]:
    """Hold signals back while torch writes a file: it treats an exception as an error."""
    _state.writing += 1
    try:
        yield
    finally:
        _state.writing -= 1
        if _state.kept is not None and not _state.writing:
            number, _state.kept = _state.kept, None
            _raise(number)


@contextmanager
def lent() -> Iterator[None]:
    """Restore the handlers of a user's own process after a training in it, and forget the signal that stopped it."""
    before = {number: handler for number in STOPS if (handler := signal.getsignal(number)) is not None}
    try:
        yield
    finally:
        if _ours_to_set():
            for number, handler in before.items():
                signal.signal(number, handler)
        _state.raised = _state.kept = None


class Deferral:
    """Keeps the first signal in `asked`, so that the run stops once it is saved; a second one stops it at once.

    Signals that are ignored, or have another handler when this object is made, stay as they are.

    notice: what the first signal prints
    """

    def __init__(self, notice: bytes = NOTICE) -> None:
        self.asked: int | None = None
        self.notice = notice
        self.numbers = [number for number in STOPS if signal.getsignal(number) in (stop, signal.default_int_handler)]

    def begin(self) -> None:
        if _ours_to_set():
            for number in self.numbers:
                signal.signal(number, self._keep)

    def stop(self) -> NoReturn:
        """Raise the exception of the kept signal."""
        _raise(self.asked or signal.SIGTERM)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            stop(number, frame)
        self.asked = self.asked or number
        with suppress(OSError):
            os.write(1, self.notice)  # the signal may have interrupted print


def _raise(number: int) -> NoReturn:
    _state.raised, _state.since = number, time.monotonic()
    stopped = STOPS[signal.Signals(number)]
    raise stopped.error(stopped.exit_code)


_ours: list[object] = []
"""Handlers that this module has set."""


def _take(handler: Callable[[int, FrameType | None], object], numbers: Iterable[int], *replaced: object) -> None:
    """Handle these signals, unless they have a handler that is neither ours nor in `replaced`."""
    if not _ours_to_set():
        return
    for number in numbers:
        if signal.getsignal(number) in (*_ours, *replaced):
            signal.signal(number, handler)
    _ours.append(handler)


def _ours_to_set() -> bool:
    return threading.current_thread() is threading.main_thread()
