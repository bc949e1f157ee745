"""Processes of the benchmark: the programs of each contestant run in one of their own, as its users start them.

Settings that one of them makes for its process, as those of memory, do not reach the others.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from typing import Any

Program = Callable[[], float]
"""A turn of a program; its rate."""

_made: dict[int, Program] = {}
"""Programs of this process."""


class Contestant:
    """A process for programs, which starts with the first turn.

    Args:
        prepare: called at the start of the process
    """

    def __init__(self, prepare: Callable[[], None] | None = None) -> None:
        self.process = ProcessPoolExecutor(1, get_context("spawn"), prepare)
        self.numbers = count()

    def program(self, make: Callable[..., Program], *arguments: Any) -> Program:
        """A program that the process makes at its first turn."""
        number = next(self.numbers)
        return lambda: self.process.submit(_turn, number, make, arguments).result()


def _turn(number: int, make: Callable[..., Program], arguments: tuple[Any, ...]) -> float:
    if number not in _made:
        _made[number] = make(*arguments)
    return _made[number]()
