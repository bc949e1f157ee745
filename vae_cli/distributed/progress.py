"""Work in progress: on a terminal a bar below the text, elsewhere a line each minute and one at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, TypeVar

from vae_cli.distributed.rank import is_rank_zero
from vae_cli.distributed.terminal import clock, fitting, is_live, note, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")
PAUSE, LONG, NOTED = 60.0, 10.0, 0.5
"""Seconds between two lines without a terminal; of work whose end has a line; of work that the log notes."""
REDRAWN = 0.2
"""Seconds between two changes of a bar."""


class Task:
    """`done` of `total` steps of some work on rank 0; `total` is None for work of unknown length."""

    bars: ClassVar[Progress | None] = None
    """The bars of all tasks in progress."""
    running: ClassVar[list[Task]] = []

    def __init__(self, what: str, total: float | None = None) -> None:
        self.what, self.total = what, total
        self.bar: TaskID | None = None

    def start(self) -> None:
        """Begin to measure time, and show a bar on a terminal."""
        self.began = self.changed = time.monotonic()
        if not is_rank_zero():
            return
        Task.running.append(self)
        if is_live():
            if Task.bars is None:
                Task.bars = _bars()
                Task.bars.start()
            self.bar = Task.bars.add_task(self.what, total=self.total, left="", numbers=())

    def stop(self) -> None:
        """Remove the bar, and end the display with the last one."""
        if self in Task.running:
            Task.running.remove(self)
        if Task.bars is None or self.bar is None:
            return
        Task.bars.remove_task(self.bar)
        self.bar = None
        if not Task.bars.tasks:
            Task.bars.stop()
            Task.bars = None

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    @property
    def is_due(self) -> bool:
        """True if it is time to show another number of steps."""
        return self in Task.running and time.monotonic() - self.changed >= (PAUSE if self.bar is None else REDRAWN)

    def reach(self, done: float, left: float | None = None, *, numbers: Sequence[str] = ()) -> None:
        """Show that `done` steps are done, a few times a second at most.

        Args:
            left: seconds to the end; None estimates them
            numbers: what to show after the fixed columns, as far as it fits
        """
        if not self.is_due:
            return
        self.changed = time.monotonic()
        if left is None and self.total and done:
            left = self.elapsed * (self.total - done) / done
        remaining = "" if left is None else f"{clock(left)} left"
        if Task.bars is not None and self.bar is not None:
            Task.bars.update(self.bar, description=self.what, completed=done, left=remaining, numbers=tuple(numbers))
        elif self.total and self is Task.running[0]:
            say(f"{self.what}  {done / self.total:.0%}  {remaining}")


@contextmanager
def task(what: str, total: float | None = None) -> Iterator[Task]:
    """Show some work while it lasts; long work that is no part of other work has a line at its end, or in the log."""
    work = Task(what, total)
    work.start()
    try:
        yield work
        if work.elapsed >= LONG and Task.running[:1] == [work]:
            (say if work.bar is None else note)(f"{what}: {clock(work.elapsed)}")
        elif work.elapsed >= NOTED and Task.running[:1] == [work]:
            note(f"{what}: {work.elapsed:.1f} s")
    finally:
        work.stop()


def track(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, with a bar that moves after each."""
    with task(what, len(items)) as work:
        for number, item in enumerate(items, 1):
            yield item
            work.reach(number)


def _bars() -> Progress:
    """Bars whose first columns are fixed; the numbers take what is left of the line."""
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement
    from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn
    from rich.progress import Task as Row
    from rich.table import Column
    from rich.text import Text

    class Numbers:
        def __init__(self, parts: Sequence[str]) -> None:
            self.parts = parts

        def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
            return Measurement(0, options.max_width)

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            yield Text(fitting(self.parts, options.max_width), no_wrap=True)

    class NumbersColumn(ProgressColumn):
        def render(self, task: Row) -> Numbers:
            return Numbers(task.fields["numbers"])

    class TimeColumn(ProgressColumn):
        def render(self, task: Row) -> Text:
            return Text(task.fields["left"] or clock(task.elapsed or 0), no_wrap=True)

    fixed = Column(no_wrap=True)
    return Progress(
        TextColumn("[bold]{task.description}", table_column=fixed),
        BarColumn(16),
        TaskProgressColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True)),
        TimeColumn(Column(no_wrap=True)),
        NumbersColumn(Column(ratio=1, no_wrap=True)),
        console=Console(highlight=False),
        refresh_per_second=5,
        transient=True,
        expand=True,
        redirect_stderr=sys.stderr.isatty(),
    )
