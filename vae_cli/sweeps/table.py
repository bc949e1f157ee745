"""The table at the end of a sweep, from the folders of its jobs."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vae_cli.commands.failure import attempt, require
from vae_cli.config.job_names import grid_folders
from vae_cli.config.search import searches, submits
from vae_cli.distributed.signals import listen
from vae_cli.distributed.terminal import widest
from vae_cli.evaluation.keys import MAIN
from vae_cli.runs.atomic_files import write_text_atomically
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import display
from vae_cli.runs.lock import LOCK, held
from vae_cli.runs.overrides import key_of
from vae_cli.runs.queue import GOING, Queue, log
from vae_cli.runs.run_files import OVERRIDES
from vae_cli.runs.status import WELL, Start
from vae_cli.runs.study import STUDY
from vae_cli.runs.sweep import Sweep
from vae_cli.sweeps import search
from vae_cli.sweeps.side_by_side import Shares
from vae_cli.sweeps.stacks import Stacks

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 160
ALWAYS = ("job", "status")
TEST = tuple(f"test/{name}" for name in MAIN)
SHOWN = (*TEST, "wall_seconds")
"""Keys of results.json in the table."""


class SweepTable(Callback):
    """Hydra callback: notes the sweep's folder; `finish` prints the table and writes sweep.json."""

    current: SweepTable | None = None
    lock: ExitStack = ExitStack()
    """Lock of the sweep's folder; a class attribute, because launchers pickle instances."""

    def __init__(self, jobs: int | None = None) -> None:  # jobs: for the headers of the jobs
        self.folder: Path | None = None
        self.shares: Shares | None = None
        self.stacks: Stacks | None = None
        self.searches = False
        self.ended_well = all
        self.well = WELL
        self.rows: list[dict[str, Any]] = []

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note and lock the folder of the sweep; a search succeeds if one trial succeeds.

        A second process in this folder ends here; hydra would turn an exception into a warning.
        """
        listen()
        self.folder = Path(config.hydra.sweep.dir).absolute()
        lock = held(Path(config.hydra.sweep.dir), "running a sweep")
        require("vae-train", attempt(lambda: SweepTable.lock.enter_context(lock)))
        self.searches = searches(config)
        self.ended_well = any if self.searches else all
        self.well = WELL if waits(config) else (*WELL, *GOING)
        SweepTable.current = self
        if not (self.searches or submits(config)):  # either may yet be refused
            note(config)

    def finish(self) -> int:
        """Print and write the table; the exit code is 1 if a job failed, or all trials of a search did.

        With cluster.wait=false, queued and running jobs count as successful.
        """
        if self.folder is None or not self.folder.is_dir():
            return 1
        rows = self.rows = read_rows(self.folder)
        if not rows:
            _remove_if_empty(self.folder)
            return 1
        if self.searches:
            search.add_scores(rows, self.folder)
        write_text_atomically(self.folder / "sweep.json", json.dumps(rows, indent=2) + "\n")
        _print(rows, self.folder, self.shares)
        if self.stacks:
            print(*self.stacks.notes, sep="\n")
        if self.searches and (line := search.pruned(rows, self.folder)):
            print(line)
        if self.searches and (command := search.longer(rows, self.folder)):
            print(f"train the best trial longer: {command}")
            search.save_figures(self.folder)
        return int(not self.ended_well(row["status"] in self.well for row in rows))

    def command(self, argv: Sequence[str]) -> str:
        """The command line that continues this sweep: the user's, with its folder."""
        place = [] if any("hydra.sweep.dir=" in word for word in argv) else [f"hydra.sweep.dir={self.folder}"]
        return shlex.join(["vae-train", *argv, *place])


def note(config: DictConfig) -> None:
    """Write the command and the jobs of a sweep that begins into its folder; a search chooses its jobs later."""
    jobs = [] if searches(config) else grid_folders(config)
    Sweep(Start.now(), str(Path.cwd()), searches(config), jobs).write(Path(config.hydra.sweep.dir).absolute())


def _remove_if_empty(folder: Path) -> None:
    """Remove the folder of a sweep that SLURM has refused, unless it holds files of an earlier one."""
    if {path.name for path in folder.iterdir()} <= {LOCK, STUDY, "multirun.yaml"}:
        for path in folder.iterdir():
            path.unlink()
        if folder != Path.cwd():
            folder.rmdir()


def waits(config: DictConfig) -> bool:
    """True if the command waits for the end of its jobs."""
    return not submits(config) or config.cluster.wait


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """A row for each job that began: overrides, status, numbers, folder; None for a missing number.

    They are in the order of the sweep; where it is not known, in that in which they began.
    """
    rows, queue, sweep = [], Queue(), Sweep.read(folder)
    order = {name: number for number, name in enumerate(sweep.jobs if sweep else ())}
    files = sorted(folder.glob(f"*/{OVERRIDES}"), key=lambda path: path.stat().st_mtime_ns)
    for file in sorted(files, key=lambda path: order.get(path.parent.name, len(order))):
        run = RunFolder(file.parent)
        results, state = run.results_if_readable(), queue.state(run)
        rows.append(
            {
                "overrides": run.typed_if_readable().overrides,
                "status": state.name,
                **{name: results.get(name) for name in SHOWN},
                "error": None if state.name in WELL else state.reason or None,
                "folder": run.name,
                "log": _slurm_log(run, queue),
            }
        )
    return rows


def _slurm_log(run: RunFolder, queue: Queue) -> str | None:
    """The output of the run's SLURM job, in the folder of the sweep; None where there is none."""
    job = queue.job(run, run.status())
    file = log(run.path.parent, job) if job else None
    return str(file.relative_to(run.path.parent)) if file and file.is_file() else None


def _print(rows: list[dict[str, Any]], folder: Path, shares: Shares | None) -> None:
    """Print the jobs by the names of their folders, with the numbers that fit side by side, then the errors."""
    from rich.console import Console

    title = f"sweep in {display(folder)}" + (f"; {shares}" if shares else "")
    shown = [name for name in ("score", *SHOWN) if any(row.get(name) is not None for row in rows)]
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    texts = (*ALWAYS, *(["log"] if any(row["log"] for row in rows) else []))
    table = widest(console, shown, lambda names: _table(rows, title, texts, names))
    console.print(table, crop=False, soft_wrap=len(table.columns) == len(texts))
    if repeated := over_seeds(rows):
        numbers = [name for name in shown if name in TEST]
        console.print(widest(console, numbers, lambda names: _means(repeated, names)), crop=False)
    for row in rows:
        if row["error"]:
            log = RunFolder(folder / row["folder"]).log_file
            see = f"; log: {display(log)}" if row["status"] == "failed" and log.is_file() else ""
            print(f"{row['folder']}: {row['error']}{see}")
    print(f"next: {shlex.join(['vae-report', display(folder)])}")


def over_seeds(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The finished jobs that differ only in their seed, by the overrides that tell them from others.

    Empty for a search, whose trials are no sample, and where no configuration has two seeds.
    """
    alike = set.intersection(*(set(row["overrides"]) for row in rows))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["status"] == "done" and "score" not in row:
            varied = [one for one in row["overrides"] if one not in alike and key_of(one) != "seed"]
            found.setdefault(",".join(varied) or "all jobs", []).append(row)
    return found if any(len(same) > 1 for same in found.values()) else {}


def _means(repeated: dict[str, list[dict[str, Any]]], shown: Sequence[str]) -> Table:
    from rich.markup import escape

    from vae_cli.report.estimate import Estimate  # scipy, which the start of a run does not wait for

    table = _empty("mean over seeds, ± half the width of a 95 % confidence interval", ("configuration", "seeds"), shown)
    for name, rows in repeated.items():
        known = [[row[key] for row in rows if row[key] is not None] for key in shown]
        table.add_row(escape(name), str(len(rows)), *(str(Estimate.of(values)) if values else "" for values in known))
    return table


def _empty(title: str, names: Sequence[str], shown: Sequence[str]) -> Table:
    """A table without rows, with columns of text and of numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name, no_wrap=True)
    for name in shown:
        table.add_column(name.removeprefix("test/"), justify="right", no_wrap=True)
    return table


def _table(rows: list[dict[str, Any]], title: str, texts: Sequence[str], shown: Sequence[str]) -> Table:
    from rich.markup import escape

    table = _empty(title, texts, shown)
    for row in rows:
        status = row["status"] if row["status"] in WELL else f"[red]{row['status']}[/red]"
        status += ", [bold]best[/bold]" * row.get("best", False)
        numbers = ["" if row[name] is None else f"{row[name]:,.3f}" for name in shown]
        logs = [row["log"]] * ("log" in texts)
        table.add_row(escape(row["folder"]), status, *logs, *numbers)
    return table
