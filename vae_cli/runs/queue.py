"""The runs of a sweep as jobs of SLURM: its queue knows what the folders of jobs that wait or were killed do not."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from vae_cli.distributed import slurm
from vae_cli.distributed.slurm import QueuedJob
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import display
from vae_cli.runs.status import GONE, UNFINISHED, State, Status

PLACE = ".slurm"
"""Folder of a sweep with the files of its jobs."""
JOBS = "jobs.json"
WAITING = ("queued", "requeued")
GOING = (*WAITING, "running")
ASKED = (*GOING, "interrupted", GONE, UNFINISHED)
"""States of runs that may be in SLURM's queue."""


def submitted(sweep: Path) -> dict[str, str]:
    """SLURM job ids of the runs in the folder of a sweep, by name; runs that are packed share a job."""
    file = sweep / PLACE / JOBS
    return json.loads(file.read_text()) if file.exists() else {}


def log(sweep: Path, job: str) -> Path:
    """The output of a SLURM job, in the folder of its sweep."""
    return sweep / PLACE / f"{job}.log"


class Queue:
    """States of runs, with one look at all jobs of a user of SLURM, at the first run that is a job."""

    def __init__(self) -> None:
        self._submitted = cache(submitted)
        self._accounted = cache(slurm.accounted)
        self._of_user = cache(slurm.jobs)

    def jobs(self, run: RunFolder) -> dict[str, QueuedJob] | None:
        """The jobs of the user whose run it is; None if SLURM does not answer."""
        return self._of_user(run.path.stat().st_uid)

    def job(self, run: RunFolder, status: Status | None) -> str | None:
        """The SLURM job of a run; None if it is none."""
        return (status and status.job) or self._submitted(run.path.parent).get(run.name)

    def state(self, run: RunFolder) -> State:
        """The state of a run. For a job of SLURM it says why it waits, or that SLURM has ended it."""
        state, status = run.state(), run.status()
        if status is None or state.name not in ASKED:
            return state
        job = self.job(run, status)
        if job is None or (jobs := self.jobs(run)) is None:
            return state
        entry = jobs.get(job)
        if entry and entry.state == "PENDING":
            return State("queued" if status.state == "queued" else "requeued", f"SLURM job {job}: {entry.words}")
        if entry and entry.state not in slurm.GONE:
            if state.name in WAITING:
                return State(state.name, f"SLURM job {job} runs, and this run begins later")
            return State("running", f"SLURM job {job}: starts") if state.name == GONE else state
        return state if state.name == "interrupted" else self.ended(run, job) or state

    def ended(self, run: RunFolder, job: str) -> State | None:
        """The state of a run whose job is no longer in the queue; None if it is there nevertheless."""
        entry = (self.jobs(run) or {}).get(job)
        found = entry.state if entry else self._accounted(job.partition("_")[0]).get(job)
        if found is not None and found not in slurm.GONE:
            return None
        again = f"the sweep's command with hydra.sweep.dir={display(run.path.parent)} submits it again"
        status = run.status()
        if found == "CANCELLED" or (found is None and status and status.state in WAITING):  # no other end is so early
            return State("cancelled", f"cancelled in SLURM (job {job}); {again}")
        see = display(log(run.path.parent, job))
        return State("failed", f"ended by SLURM (job {job}, {found or 'state unknown'}); see {see}; {again}")


def ended(run: RunFolder, job: str) -> State | None:
    """The state of a run whose job has left the queue, with a new look at it."""
    return Queue().ended(run, job)
