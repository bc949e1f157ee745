"""SLURM as seen from inside a job and from where jobs are submitted; it needs no accounting."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vae_cli.errors import UserError, first_line

GONE = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")
"""States of jobs that will not run again unless somebody submits them."""


PASSING = ("None", "Priority", "Resources", "BeginTime", "JobArrayTaskLimit", "Dependency", "Cleaning", "Prolog")
"""Reasons for which jobs wait until it is their turn."""


@dataclass(frozen=True)
class QueuedJob:
    """A job in the queue: SLURM's name of its state, the reason why it waits, and its own name."""

    state: str
    reason: str
    name: str

    @property
    def is_stuck(self) -> bool:
        """True if it waits for a reason that does not pass by itself."""
        return self.state == "PENDING" and self.reason not in PASSING

    @property
    def words(self) -> str:
        """The reason why it waits."""
        return f"SLURM does not start it: {self.reason}" if self.is_stuck else f"waits in the queue ({self.reason})"


def job() -> str | None:
    """The job that this process belongs to, as squeue writes it; None outside SLURM."""
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID")


def step() -> str | None:
    """The step of srun that this process belongs to, the same for all of its processes; None outside."""
    number = os.environ.get("SLURM_STEP_ID")
    return f"{job()}.{number}" if number is not None else None


def tasks() -> int:
    """Number of tasks that srun has started; 1 outside SLURM."""
    return int(os.environ.get("SLURM_NTASKS", 1)) if step() else 1


def restarted() -> bool:
    """True if this job was requeued before."""
    return int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0


def requeue() -> bool:
    """Put this job back into the queue, which ends it; False if SLURM refuses."""
    return _output("scontrol", "requeue", str(job())) is not None


def jobs(user: int | None = None) -> dict[str, QueuedJob] | None:
    """The jobs of a user, by default of this one, and those that ended minutes ago; None if SLURM does not answer."""
    shown = ("--array", "--states=all", "--format=%i|%T|%r|%j")
    lines = _output("squeue", "--noheader", *shown, f"--user={os.getuid() if user is None else user}")
    if lines is None:
        return None
    rows = (line.split("|", 3) for line in lines.splitlines())
    return {job: QueuedJob(state, reason, name) for job, state, reason, name in rows}


def queue() -> dict[str, QueuedJob] | None:
    """The user's jobs that wait or run; None if SLURM does not answer."""
    known = jobs()
    return None if known is None else {job: entry for job, entry in known.items() if entry.state not in GONE}


def has_gpus(partition: str | None) -> bool:
    """True if every node of a partition has GPUs; None is the default one, which sinfo marks with an asterisk."""
    chosen = [f"--partition={partition}"] if partition else []
    lines = (_output("sinfo", "--noheader", "--format=%P|%G", *chosen) or "").splitlines()
    nodes = [gres for name, _, gres in (line.partition("|") for line in lines) if partition or name.endswith("*")]
    return bool(nodes) and all("gpu" in gres for gres in nodes)


def largest_array() -> int:
    """The number of jobs that an array may have."""
    words = (_output("scontrol", "show", "config") or "").split()
    return int(words[words.index("MaxArraySize") + 2]) if "MaxArraySize" in words else 1001


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs that wait or run; those that have ended are left out. UserError with SLURM's reason if it refuses."""
    _asked("scancel", *jobs, problem="SLURM does not cancel all jobs")


def submit(script: Path) -> str:
    """Submit a script; its job. UserError with SLURM's reason if it is refused."""
    answer = _asked(
        "sbatch", "--parsable", str(script), problem="SLURM refuses the jobs", see="; see the group `cluster`"
    )
    return answer.strip().partition(";")[0]


def _asked(command: str, *arguments: str, problem: str, see: str = "") -> str:
    """The output of a command that changes the queue; UserError with its reason if it fails."""
    try:
        done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"SLURM does not answer here ({first_line(error)}); try again where it does") from error
    if done.returncode:
        lines = (line.removeprefix(f"{command}: ").removeprefix("error: ").strip() for line in done.stderr.splitlines())
        reasons = dict.fromkeys(line.removeprefix("Batch job submission failed: ") for line in lines if line)
        raise UserError(f"{problem}: {'; '.join(reasons)}{see}")
    return done.stdout


def accounted(array: str) -> dict[str, str]:
    """The states of the jobs of an array, or of a single job, in SLURM's accounting; empty where it keeps none."""
    columns = ("--noheader", "--allocations", "--parsable2", "--format=JobID,State")
    lines = (_output("sacct", f"--jobs={array}", *columns) or "").splitlines()
    rows = (line.partition("|") for line in lines)
    return {job: next(iter(state.split()), "") for job, _, state in rows}  # CANCELLED by 1000


def _output(*command: str) -> str | None:
    """The output of a command; None if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
