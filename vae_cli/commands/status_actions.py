"""The actions of vae-status: end runs, and start again what has failed."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from vae_cli.distributed import slurm
from vae_cli.errors import FAILED, UserError, counted
from vae_cli.runs.layout import display
from vae_cli.runs.overview import Entry, Group
from vae_cli.runs.sweep import Sweep


def cancel(groups: Sequence[Group]) -> int:
    """End all runs that wait or run, in SLURM's queue and on this machine; 1 if some are out of reach."""
    going = [entry for group in groups for entry in group.entries if entry.goes]
    local = [entry for entry in going if not entry.job]
    if processes := dict.fromkeys(pid for group in groups for pid in _processes(group)):
        for pid in processes:
            _stop(pid)
        print(f"{counted(len(processes), 'process', 'processes')} told to stop")
    far = [entry for entry in local if entry.state.name == "running" and not entry.status.is_alive]
    for entry in far:
        host = entry.status.starts[-1].host if entry.status.starts else "another machine"
        print(f"{entry.run}: runs on {host}; use vae-status --cancel {entry.run} there", file=sys.stderr)
    if jobs := list(dict.fromkeys(entry.job for entry in going if entry.job)):
        slurm.cancel(jobs)
        for entry in going:
            if entry.job and entry.state.name == "queued":
                entry.run.write_end("cancelled", f"cancelled by vae-status (SLURM job {entry.job})")
        print(f"{counted(len(jobs), 'SLURM job')} cancelled; a run that has begun saves first")
    if not going:
        print("nothing waits or runs")
    return FAILED * bool(far)


def _stop(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return  # it has ended by itself
    except PermissionError as error:
        raise UserError(f"--cancel: process {pid} belongs to another user, who alone can stop it") from error


def rerun(groups: Sequence[Group]) -> int:
    """Become the command that repeats a sweep, or continues a run, in its folder; UserError where there are several."""
    found = [group for group in groups if _failed(group)]
    if not found:
        scored = sum(one.failed for group in groups for one in group.entries)
        more = f" but {counted(scored, 'trial')} with the score -inf; a larger hydra.sweeper.n_trials draws others"
        print(f"nothing has failed{more * bool(scored)}")
        return 0
    lines = dict.fromkeys(line for group in found for line in _lines(group))
    if len(lines) > 1:
        print("\n".join(lines), flush=True)
        raise UserError(f"--rerun failed: these are {len(lines)} commands; start them yourself, one after another")
    line = next(iter(lines))
    sweep = found[0].sweep
    if sweep and Path(sweep.directory).is_dir():
        os.chdir(sweep.directory)
    print(line, flush=True)
    return os.execv(sys.executable, [sys.executable, "-m", "vae_cli", "train", *shlex.split(line)[1:]])


def _failed(group: Group) -> list[Entry]:
    """The runs to start again: not the failed trials of a search, which has their scores."""
    searches = group.sweep is not None and group.sweep.searches
    return [entry for entry in group.entries if entry.failed and not (searches and entry.state.name == "failed")]


def _lines(group: Group) -> list[str]:
    """The command of a sweep, or those that continue its failed runs one by one."""
    sweep, failed = group.sweep, _failed(group)
    if sweep and sweep.start.command:
        words = shlex.split(sweep.start.command)
        kept = [word for word in words if not word.startswith("hydra.sweep.dir=")]
        return [shlex.join([*kept, f"hydra.sweep.dir={group.folder}"])]
    if failed and Sweep.read(group.folder):
        run, place = failed[0].run, display(group.folder)
        alone = f", or vae-train resume={run} for it alone" if run.has_checkpoint else ""
        raise UserError(f"{run}: a job of the sweep in {place}; use vae-status --rerun failed {place}{alone}")
    return [_line(entry) for entry in failed]


def _line(entry: Entry) -> str:
    """The command that continues a run, or starts it again in its folder if it has saved nothing."""
    if entry.run.has_checkpoint:
        return shlex.join(["vae-train", f"resume={entry.run}"])
    overrides = entry.run.typed_if_readable().overrides
    return shlex.join(["vae-train", *overrides, "ckpt=last", f"hydra.run.dir={entry.run}"])


def _processes(group: Group) -> list[int]:
    """The process of a sweep on this machine, which stops its jobs, or those of single runs."""
    local = [entry for entry in group.entries if entry.goes and not entry.job]
    if local and group.sweep and group.sweep.start.is_alive:
        return [group.sweep.start.pid or 0]
    starts = [entry.status.starts[-1] for entry in local if entry.status.starts]
    return [start.pid for start in starts if start.pid and start.is_alive]
