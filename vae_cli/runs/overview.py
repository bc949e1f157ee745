"""The states of many runs, from their small files and one look into SLURM's queue; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vae_cli.errors import UserError
from vae_cli.runs.find import walk
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.queue import GOING, Queue
from vae_cli.runs.run_files import CONFIG, RESULTS, STATUS
from vae_cli.runs.status import GONE, UNFINISHED, WELL, State, Status
from vae_cli.runs.sweep import JOBS, Sweep

DAMAGED = "damaged"
"""State of a run whose files cannot be read."""


@dataclass(frozen=True)
class Entry:
    """A run, or a job of a sweep that has no folder yet.

    Args:
        job: its SLURM job
        seen: seconds since its last sign of life
        error: the reason of its end in results.json
    """

    run: RunFolder
    state: State
    status: Status
    job: str | None = None
    seen: float | None = None

    @property
    def goes(self) -> bool:
        """True if it waits or runs."""
        return self.state.name in GOING

    @property
    def failed(self) -> bool:
        """True if it has ended otherwise than well."""
        return not self.goes and self.state.name not in WELL

    @property
    def reason(self) -> str:
        """The reason of its state; of a running one the place where it runs, and its last sign if it is far away."""
        if self.state.name != "running":
            return self.state.reason
        if self.job:
            return f"SLURM job {self.job}"
        return "" if self.seen is None or self.status.is_alive else f"last sign {self.seen:.0f} s ago"


@dataclass(frozen=True)
class Group:
    """The runs of a sweep, or single runs side by side in a folder.

    Args:
        lost: True for a sweep whose jobs.json is damaged
    """

    folder: Path
    entries: Sequence[Entry]
    sweep: Sweep | None = None
    lost: bool = False

    @property
    def failed(self) -> bool:
        """True if a run has ended otherwise than well; a search succeeds if one of its trials does."""
        if self.sweep and self.sweep.searches and any(one.state.name in WELL for one in self.entries):
            return False
        return any(one.failed for one in self.entries)


def look(folders: Iterable[Path]) -> list[Group]:
    """The runs in and below these folders, by the folder that holds them; a sweep in the order of its jobs."""
    queue, runs, sweeps = Queue(), {}, {}
    for folder, files in walk(folders):
        if JOBS in files:
            sweeps[folder] = Sweep.read(folder)
        if STATUS in files or {CONFIG, RESULTS} <= {*files}:
            runs.setdefault(folder.parent, {})[folder.name] = _entry(RunFolder(folder), queue)
    groups = []
    for place in sorted(runs.keys() | sweeps.keys()):
        sweep, found = sweeps.get(place), runs.get(place, {})
        goes = any(one.goes for one in found.values())
        names = [*(sweep.jobs if sweep else ()), *found]
        entries = [found.get(name) or _waiting(place / name, sweep, queue, goes) for name in dict.fromkeys(names)]
        groups.append(Group(place, entries, sweep, place in sweeps and not sweep))
    return [group for group in groups if group.entries]


def _entry(run: RunFolder, queue: Queue) -> Entry:
    """A run that has begun, or waits in a folder of its own."""
    known = run.status()
    status = known or Status("running")
    try:
        run.results()
        state = queue.state(run)
    except UserError as error:
        state = State(DAMAGED, str(error))
    if state.name == UNFINISHED and known is None and (run.path / STATUS).exists():
        state = State(DAMAGED, f"{run}/{STATUS}: not readable; a run that goes on writes it at the end of an epoch")
    return Entry(run, state, status, queue.job(run, status), time.time() - run.written if run.written else None)


def _waiting(folder: Path, sweep: Sweep | None, queue: Queue, others_go: bool) -> Entry:
    """A job of a sweep without a folder."""
    run = RunFolder(folder)
    assert sweep
    alive = sweep.start.is_alive
    state = State("queued", "waits for its turn")
    if not (others_go if alive is None else alive):
        state = State(GONE, "its sweep has ended before its turn")
    return Entry(run, state, Status("queued"))
