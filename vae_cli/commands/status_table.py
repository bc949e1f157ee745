"""The tables of vae-status."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vae_cli.distributed.terminal import clock, is_live, say, widest
from vae_cli.errors import FAILED
from vae_cli.runs import overview
from vae_cli.runs.layout import display
from vae_cli.runs.overview import Entry
from vae_cli.runs.queue import PLACE

BOUNDS = ("val/elbo", "val/distortion")
"""Numbers by which epochs are chosen."""
OPTIONAL = (*BOUNDS, "left", "node", "restarts")
REASON = 20
"""Least columns of a reason."""
UNLIMITED = 10_000
"""Columns of a pipe or a file."""
ORDER = ("running", "gone", "failed", "interrupted", "cancelled", "requeued", "queued")
"""States that come first where a terminal has no room for all runs."""
COLOURS = {"running": "green", "done": "default", "pruned": "default", "queued": "dim", "requeued": "dim"}


def show(groups: Sequence[overview.Group]) -> None:
    """Print all runs."""
    console = Console() if sys.stdout.isatty() else Console(width=UNLIMITED)
    for group in groups:
        console.print(_title(group), highlight=False)
        console.print(_table(group.entries, console))


def show_failed(groups: Sequence[overview.Group]) -> None:
    """Print the reason and the log of each run that has ended otherwise than well."""
    for entry in (entry for group in groups for entry in group.entries if entry.failed):
        print(f"{entry.run}: {entry.state.name}: {entry.reason or 'no reason was written'}")
        for log in _logs(entry):
            print(f"  log: {display(log)}")


def watch(folders: Sequence[Path], pause: float) -> int:
    """Show the runs again and again, until none waits or runs or Ctrl-C; a pipe gets a line for each change."""
    groups = overview.look(folders)
    try:
        if is_live():
            with Live(_view(groups), auto_refresh=False) as live:
                while _go(groups):
                    time.sleep(pause)
                    groups = overview.look(folders)
                    live.update(_view(groups), refresh=True)
        else:
            known: dict[Path, str] = {}
            while _tell(groups, known) or _go(groups):
                time.sleep(pause)
                groups = overview.look(folders)
    except KeyboardInterrupt:
        pass
    return FAILED * any(group.failed for group in groups)


def _go(groups: Sequence[overview.Group]) -> bool:
    return any(entry.goes for group in groups for entry in group.entries)


def _tell(groups: Sequence[overview.Group], known: dict[Path, str]) -> bool:
    """Print the runs whose state differs from the known one, which is replaced; True if there are any."""
    changed = [e for group in groups for e in group.entries if known.get(e.run.path) != e.state.name]
    for entry in changed:
        known[entry.run.path] = entry.state.name
        say(f"{time.strftime('%H:%M:%S')}  {entry.run}: {': '.join(filter(None, (entry.state.name, entry.reason)))}")
    return bool(changed)


def _view(groups: Sequence[overview.Group]) -> Group:
    """What a terminal has room for: the runs that go or have failed first."""
    console = Console()
    room, parts = console.height - 2, []
    for group in groups:
        lines = len(group.entries) + 4
        entries = group.entries if lines <= room else sorted(group.entries, key=_rank)[: max(0, room - 5)]
        if room > 2:
            parts += [_title(group), _table(entries, console)] if entries else [_title(group)]
            if hidden := len(group.entries) - len(entries):
                parts.append(Text(f"  and {hidden} more", "dim"))
        room -= len(entries) + 4 if entries else 1
    return Group(*parts, Text(time.strftime("%H:%M:%S, Ctrl-C ends this command and no run"), "dim"))


def _rank(entry: Entry) -> int:
    return ORDER.index(entry.state.name) if entry.state.name in ORDER else len(ORDER)


def _title(group: overview.Group) -> Text:
    """The folder, and how many runs are in each state."""
    counts = Counter(entry.state.name for entry in group.entries)
    words = ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
    return Text.assemble((display(group.folder), "bold"), f": {words}")


def _table(entries: Sequence[Entry], console: Console) -> Table:
    """The runs with the columns that have content and fit side by side; the reason takes the room that is left."""
    rows = [_cells(entry) for entry in entries]
    shown = [name for name in OPTIONAL if any(row.get(name) for row in rows)]
    table = widest(console, shown, lambda names: _drawn(entries, rows, names))
    table.columns[-1].max_width = None
    return table


def _cells(entry: Entry) -> dict[str, str]:
    status, going = entry.status, entry.state.name == "running"
    number = {status.monitor: f"{status.best:,.2f}"} if status.monitor and status.best is not None else {}
    return {
        "epoch": f"{status.epoch}/{status.epochs}" if status.epochs else "",
        "left": clock(status.left) if going and status.left is not None else "",
        "node": status.starts[-1].host if status.starts else "",
        "restarts": str(len(status.starts) - 1) if len(status.starts) > 1 else "",
    } | number


def _drawn(entries: Sequence[Entry], rows: Sequence[dict[str, str]], names: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name in ("run", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("epoch", *names):
        table.add_column(name, no_wrap=True, justify="left" if name == "node" else "right")
    reasons = any(entry.reason for entry in entries)
    if reasons:
        table.add_column("reason", min_width=REASON, max_width=REASON)
    for entry, row in zip(entries, rows, strict=True):
        state = Text(entry.state.name, COLOURS.get(entry.state.name, "red"))
        cells = [escape(row.get(name, "")) for name in ("epoch", *names)]
        reason = [Text(entry.reason, no_wrap=True, overflow="ellipsis")] * reasons
        table.add_row(escape(entry.run.name), state, *cells, *reason)
    return table


def _logs(entry: Entry) -> list[Path]:
    """The run's own log, and the output of its SLURM job."""
    folder = entry.run.path.parent / PLACE / (entry.job or "")
    return [file for file in (entry.run.log_file, *folder.glob("*_log.err")) if file.is_file()]
