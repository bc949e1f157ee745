"""Signals that stop a command: at once, or, while a model trains, once it has been saved.

Until a command has begun its work, and once it has ended it, a signal ends the process (`begin`, `finish`): an
exception in the middle of an import or of the interpreter's exit would show a traceback, or be lost. In between it
raises an exception (`listen`), once: those that follow closely must not disturb what is written then.
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


class Terminated(SystemExit):
    """What SIGTERM raises, as Ctrl-C raises KeyboardInterrupt."""

    def __init__(self) -> None:
        super().__init__(143)


class HungUp(SystemExit):
    """What SIGHUP raises: the terminal is closed."""

    def __init__(self) -> None:
        super().__init__(129)


class TimeLimit(SystemExit):
    """What SIGUSR2 raises in a SLURM job, where it says that the time is nearly over."""

    def __init__(self) -> None:
        super().__init__(143)


STOPS: dict[int, type[BaseException]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGUSR2: TimeLimit,
    signal.SIGTERM: Terminated,
    signal.SIGHUP: HungUp,
}
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "the terminal was closed"}
NOTICE = b"\nstopping once this batch is done and saved; a second signal stops at once\n"
GRACE = 5.0
"""Seconds that a process has to end after a signal; another one after that ends it at once."""


@dataclass
class _State:
    """The signal that was raised, and since when; `kept` waits while files are written, `writing` of them."""

    raised: int | None = None
    since: float = 0.0
    writing: int = 0
    kept: int | None = None


_state = _State()


def begin(command: str) -> None:
    """From now on a signal ends the process at once, with a line: nothing is begun yet. Ignored ones stay ignored."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        with suppress(OSError):
            if is_rank_zero():
                os.write(2, f"{command}: error: {WORDS[signal.Signals(number)]}\n".encode())
        os._exit(128 + number)

    _take(leave, WORDS, signal.SIG_DFL, signal.default_int_handler)


def listen() -> None:
    """From now on signals raise an exception, SIGUSR2 in a SLURM job only; those that others handle stay theirs."""
    from vae_cli.distributed import slurm

    _state.raised = _state.kept = None
    numbers = [*WORDS, *([signal.SIGUSR2] if slurm.job() else [])]
    _take(stop, numbers, signal.SIG_DFL, signal.default_int_handler)


def finish(code: int) -> None:
    """From now on a signal ends the process at once with this code: its work is done and written."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        os._exit(code)

    _take(leave, WORDS)


def ignore() -> None:
    """From now on a process that is ending anyway is not interrupted while it does."""
    if _ours_to_set():
        for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


def stop(number: int, frame: FrameType | None = None) -> None:
    """Raise what the signal stands for, once: after the file that is being written, and not while the process ends."""
    if _state.raised is not None:
        if time.monotonic() - _state.since > GRACE:
            os._exit(128 + number)  # files are whole or absent at any moment
    elif _state.writing:
        _state.kept = _state.kept or number
    else:
        _raise(number)


def raised() -> int | None:
    """The signal by which this process ends, if it does."""
    return _state.raised


@contextmanager
def held_back() -> Iterator[None]:
    """Signals wait until this is over: torch writes files by code of its own, which takes an exception for an error."""
    _state.writing += 1
    try:
        yield
    finally:
        _state.writing -= 1
        if _state.kept is not None and not _state.writing:
            number, _state.kept = _state.kept, None
            _raise(number)


class Deferral:
    """Keeps the first signal in `asked`, for the run to stop where it can be saved; a second one stops at once.

    Signals that are ignored, or that somebody else handles when this is made, stay as they are.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self.numbers = [number for number in STOPS if signal.getsignal(number) in (stop, signal.default_int_handler)]

    def begin(self) -> None:
        """From now on."""
        if _ours_to_set():
            for number in self.numbers:
                signal.signal(number, self._keep)

    def stop(self) -> NoReturn:
        """Raise what the kept signal stands for."""
        _raise(self.asked or signal.SIGTERM)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            stop(number, frame)
        self.asked = self.asked or number
        with suppress(OSError):
            os.write(1, NOTICE)  # print may be what was interrupted


def _raise(number: int) -> NoReturn:
    _state.raised, _state.since = number, time.monotonic()
    raise STOPS[number]


_ours: list[object] = []
"""Handlers that were set here."""


def _take(handler: Callable[[int, FrameType | None], object], numbers: Iterable[int], *replaced: object) -> None:
    """Handle these signals, unless somebody else does."""
    if not _ours_to_set():
        return
    for number in numbers:
        if signal.getsignal(number) in (*_ours, *replaced):
            signal.signal(number, handler)
    _ours.append(handler)


def _ours_to_set() -> bool:
    return threading.current_thread() is threading.main_thread()
