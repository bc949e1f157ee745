"""Signals that stop a command: at once, or, while a model trains, once it has been saved."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType

from vae_cli import slurm


class Terminated(SystemExit):
    """What SIGTERM raises, as Ctrl-C raises KeyboardInterrupt."""

    def __init__(self) -> None:
        super().__init__(143)


class TimeLimit(SystemExit):
    """What SIGUSR2 raises in a SLURM job, where it says that the time is nearly over."""

    def __init__(self) -> None:
        super().__init__(143)


STOPS: dict[int, type[BaseException]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGUSR2: TimeLimit,
    signal.SIGTERM: Terminated,
}
NOTICE = b"\nstopping once this batch is done and saved; a second signal stops at once\n"


def stop(number: int, frame: FrameType | None) -> None:
    """Raise what the signal stands for."""
    raise STOPS[number]


def listen() -> None:
    """Let SIGTERM raise Terminated and, in a SLURM job, SIGUSR2 TimeLimit, unless somebody else handles them."""
    numbers = [signal.SIGTERM, signal.SIGUSR2] if slurm.job() else [signal.SIGTERM]
    for number in numbers:
        if _ours_to_set() and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, stop)


def ignore() -> None:
    """From now on a process that is ending anyway is not interrupted while it does."""
    if _ours_to_set():
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)


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

    def stop(self) -> None:
        """Raise what the kept signal stands for."""
        raise STOPS[self.asked or signal.SIGTERM]

    def _keep(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            stop(number, frame)
        self.asked = number
        with suppress(OSError):
            os.write(1, NOTICE)  # print may be what was interrupted


def _ours_to_set() -> bool:
    return threading.current_thread() is threading.main_thread()
