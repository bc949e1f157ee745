"""The tables of vae-status, drawn by hand: rich takes most of a second for 500 rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from vae_cli.distributed.terminal import GAP, clock, is_live, say, width
from vae_cli.errors import FAILED
from vae_cli.runs import overview
from vae_cli.runs.layout import display
from vae_cli.runs.overview import Entry
from vae_cli.runs.queue import log

if TYPE_CHECKING:
    from rich.text import Text

ALWAYS = ("run", "state", "epoch")
OPTIONAL = ("val/elbo", "val/distortion", "left", "node", "restarts")
"""Columns that are shown if they have content and there is room; the first two are the numbers that choose epochs."""
LEFT = ("run", "state", "node")
"""Columns of text."""
REASON = 20
"""Least columns of a reason."""
ORDER = ("running", "gone", "failed", "interrupted", "cancelled", "requeued", "queued")
"""States that come first where a terminal has no room for all runs."""
COLOURS = {"running": "green", "done": "", "pruned": "", "queued": "dim", "requeued": "dim"}


@dataclass(frozen=True)
class Line:
    """A line of text, of which the part `state` has a colour on a terminal."""

    before: str
    state: str = ""
    after: str = ""
    colour: str = ""

    def __str__(self) -> str:
        return f"{self.before}{self.state}{self.after}"

    @property
    def text(self) -> Text:
        """The line with its colour."""
        from rich.text import Text

        return Text.assemble(self.before, (self.state, self.colour), self.after)


def show(groups: Sequence[overview.Group]) -> None:
    """Print all runs, a table for each folder that holds some."""
    columns = width()
    for group in groups:
        lines = [_title(group), *_table(group.entries, columns)]
        if columns is None:
            print("\n".join(map(str, lines)))
        else:
            from rich import print as coloured

            for line in lines:
                coloured(line.text)


def show_failed(groups: Sequence[overview.Group]) -> None:
    """Print the reason and the log of each run that has ended otherwise than well."""
    failed = [entry for group in groups for entry in group.entries if entry.failed]
    if not failed:
        print("nothing has failed")
    for entry in failed:
        print(f"{entry.run}: {entry.state.name}: {entry.reason or 'no reason was written'}")
        for file in _logs(entry):
            print(f"  log: {display(file)}")


def watch(folders: Sequence[Path], pause: float) -> int:
    """Show the runs again and again, until none waits or runs or Ctrl-C; a pipe gets a line for each change."""
    groups = overview.look(folders)
    try:
        if is_live():
            from rich.live import Live

            with Live(_view(groups), auto_refresh=False) as live:
                while _go(groups):
                    time.sleep(pause)
                    groups = overview.look(folders)
                    live.update(_view(groups), refresh=True)
        else:
            known: dict[Path, str] = {}
            _tell(groups, known)
            while _go(groups):
                time.sleep(pause)
                groups = overview.look(folders)
                _tell(groups, known)
    except KeyboardInterrupt:
        pass
    return FAILED * any(group.failed for group in groups)


def _go(groups: Sequence[overview.Group]) -> bool:
    return any(entry.goes for group in groups for entry in group.entries)


def _tell(groups: Sequence[overview.Group], known: dict[Path, str]) -> None:
    """Print the runs whose state differs from the known one, which is replaced."""
    for entry in (e for group in groups for e in group.entries if known.get(e.run.path) != e.state.name):
        known[entry.run.path] = entry.state.name
        say(f"{time.strftime('%H:%M:%S')}  {entry.run}: {': '.join(filter(None, (entry.state.name, entry.reason)))}")


def _view(groups: Sequence[overview.Group]) -> Text:
    """The lines that a terminal has room for: the runs that go or have failed first."""
    from rich.text import Text

    columns, room = get_terminal_size()
    room -= 2
    lines: list[Line] = []
    for group in groups:
        entries = group.entries
        if len(entries) + 2 > room:
            entries = sorted(entries, key=_rank)[: max(0, room - 3)]
        part = [_title(group), *_table(entries, columns)] if entries else [_title(group)]
        if hidden := len(group.entries) - len(entries):
            part.append(Line(f"and {hidden} more"))
        lines += part
        room -= len(part)
    lines = [
        *lines[: get_terminal_size().lines - 2],
        Line(time.strftime("%H:%M:%S, Ctrl-C ends this command and no run")),
    ]
    return Text("\n").join(line.text for line in lines)


def _rank(entry: Entry) -> int:
    return ORDER.index(entry.state.name) if entry.state.name in ORDER else len(ORDER)


def _title(group: overview.Group) -> Line:
    """The folder, and how many runs are in each state."""
    counts = Counter(entry.state.name for entry in group.entries)
    words = ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
    lost = "; its jobs.json is not readable: jobs that have not begun are unknown" * group.lost
    return Line("", display(group.folder), f": {words}{lost}", "bold")


def _table(entries: Sequence[Entry], columns: int | None) -> Iterator[Line]:
    """The runs with the columns that have content and fit side by side; the reason takes the room that is left."""
    rows = [_cells(entry) for entry in entries]
    names = [name for name in (*ALWAYS, *OPTIONAL) if name in ALWAYS or any(row.get(name) for row in rows)]
    widths = {name: max(len(name), *(len(row.get(name, "")) for row in rows)) for name in names}
    reason = REASON if any(entry.reason for entry in entries) else 0
    while columns and names[-1] in OPTIONAL and sum(widths[name] + len(GAP) for name in names) + reason > columns:
        names.pop()
    room = max(0, columns - sum(widths[name] + len(GAP) for name in names)) if columns else None
    yield _line({name: name for name in names} | {"reason": "reason" * bool(reason)}, names, widths, room)
    for row in rows:
        yield _line(row, names, widths, room, COLOURS.get(row["state"], "red"))


def _cells(entry: Entry) -> dict[str, str]:
    """The texts of a run by column."""
    status, going = entry.status, entry.state.name == "running"
    number = {status.monitor: f"{status.best:,.2f}"} if status.monitor and status.best is not None else {}
    return {
        "run": entry.run.name,
        "state": entry.state.name,
        "epoch": f"{status.epoch}/{status.epochs}" if status.epochs else "",
        "left": clock(status.left) if going and status.left is not None else "",
        "node": status.starts[-1].host if status.starts else "",
        "restarts": str(len(status.starts) - 1) if len(status.starts) > 1 else "",
        "reason": entry.reason,
    } | number


def _line(
    row: dict[str, str], names: Sequence[str], widths: dict[str, int], room: int | None, colour: str = "bold"
) -> Line:
    """A row; of a reason that is longer than its room the first part."""
    cells = [row.get(n, "").ljust(widths[n]) if n in LEFT else row.get(n, "").rjust(widths[n]) for n in names]
    reason = row["reason"]
    if room is not None and len(reason) > room:
        reason = f"{reason[: max(0, room - 1)]}…"[:room]
    return Line(cells[0] + GAP, cells[1], (GAP + GAP.join([*cells[2:], reason])).rstrip(), colour)


def _logs(entry: Entry) -> list[Path]:
    """The run's own log, and the output of its SLURM job."""
    of_job = [log(entry.run.path.parent, entry.job)] if entry.job else []
    return [file for file in (entry.run.log_file, *of_job) if file.is_file()]
