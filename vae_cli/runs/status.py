"""The state of a run: queued, running, or how it has ended."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vae_cli.distributed import slurm

UNFINISHED = "unfinished"
"""Status in results.json of a run that has begun and not ended."""
GONE = "gone"
"""State of a run that has not ended and whose process no longer runs, or gives no sign of life."""
WELL = ("done", "pruned")
"""States of a run that has ended well."""
ENDED = (*WELL, "failed", "interrupted", "cancelled")
"""States of a run that has ended."""
COMMAND = "VAE_TRAIN_COMMAND"
"""Environment variable by which a command tells its own line to the processes of its jobs."""
MINUTE = 60.0
PATIENCE = 10 * MINUTE
"""Seconds without the end of an epoch after which a run counts as killed, or three epochs if that is more."""


@dataclass(frozen=True)
class Start:
    """A start of a run, which an interruption or a time limit may have ended before the run was done.

    Args:
        began: local time in ISO 8601
        host: name of the machine of rank 0
        pid: number of the process of rank 0
        job: number of the SLURM job
        seconds: time from `began` to the last sign of life
        end: reason of the end; None while it lasts
        saved: True if it has written a checkpoint
        command: the command line as it was typed, in a sweep that of the sweep
        processor: model of the processor of rank 0
        gpu: model of its GPU; None without one
        threads: CPU threads of rank 0
        processes: processes that train together
    """

    began: str
    host: str
    job: str | None = None
    seconds: float = 0.0
    end: str | None = None
    saved: bool = False
    command: str | None = None
    processor: str | None = None
    gpu: str | None = None
    threads: int | None = None
    processes: int | None = None
    pid: int | None = None

    @classmethod
    def now(cls, **used: Any) -> Start:
        """The start of this process; `used` are the gpu, threads and processes of the training."""
        began = datetime.now().astimezone().isoformat(timespec="milliseconds")
        told = {"command": os.environ.get(COMMAND), "processor": processor(), "pid": os.getpid()}
        return cls(began, platform.node(), slurm.job(), **told, **used)

    @property
    def is_alive(self) -> bool | None:
        """True if its process runs, which is older than the start; None where another machine has to answer."""
        if self.pid is None or self.host != platform.node():
            return None
        import psutil

        try:
            process = psutil.Process(self.pid)
            older = process.create_time() < datetime.fromisoformat(self.began).timestamp() + MINUTE
            return older and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def lasting(self, saved: float) -> Start:
        """The start, alive at this moment; `saved` is the time of the last checkpoint."""
        began = datetime.fromisoformat(self.began).timestamp()
        return replace(self, seconds=round(time.time() - began, 3), saved=saved >= began)


@cache
def processor() -> str:
    """The model of the processor, or the kind of machine where the system does not tell it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


@dataclass(frozen=True)
class Status:
    """The state of a run, which the run or its launcher writes; results.json has the reason of an end.

    Args:
        job: number of the SLURM job
        requeued: times that the run has reached a time limit and gone back to the queue
        epoch: number of finished epochs
        epochs: number of epochs in all
        seconds: duration of an epoch
        save_seconds: duration of the longest write of a checkpoint
        monitor: number by which the best epoch is chosen, as val/elbo; None for the last epoch
        best: its best value so far
        starts: of the run, the present one last
    """

    state: Literal["queued", "running", "requeued", "done", "pruned", "failed", "interrupted", "cancelled"]
    job: str | None = None
    requeued: int = 0
    epoch: int = 0
    epochs: int = 0
    seconds: float = 0.0
    save_seconds: float = 0.0
    monitor: str | None = None
    best: float | None = None
    starts: tuple[Start, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Status:
        """The state in the text of status.json; ValueError or TypeError for other text."""
        content = json.loads(text)
        starts = tuple(Start(**one | {"seconds": float(one["seconds"])}) for one in content.pop("starts", ()))
        return cls(**content, starts=starts)

    def started(self, start: Start) -> Status:
        """The state at a new start; an earlier one without an end was killed."""
        starts = (*self.ended("killed").starts, start)
        return replace(self, state="running", job=slurm.job(), starts=starts)

    def lasting(self, saved: float) -> Status:
        """The state while the run is alive; `saved` is the time of the last checkpoint."""
        return replace(self, starts=(*self.starts[:-1], *(one.lasting(saved) for one in self.starts[-1:])))

    def ended(self, reason: str) -> Status:
        """The state with a reason for the end of the last start, unless it has one."""
        last = (one if one.end else replace(one, end=reason) for one in self.starts[-1:])
        return replace(self, starts=(*self.starts[:-1], *last))

    @property
    def idle_starts(self) -> int:
        """Number of the last starts that have saved nothing."""
        return next((n for n, one in enumerate(reversed(self.starts)) if one.saved), len(self.starts))

    @property
    def results(self) -> dict[str, Any]:
        """Entries of results.json about the starts; empty where none is known."""
        if not self.starts:
            return {}
        seconds = round(sum(one.seconds for one in self.starts), 3)
        saves = {"save_seconds": self.save_seconds, "starts": [asdict(one) for one in self.starts]}
        return {"wall_seconds": seconds, **saves}

    @property
    def least_notice(self) -> int:
        """Seconds that suffice to save: the end of an epoch writes two checkpoints, best and last."""
        return math.ceil(2 * self.save_seconds)

    @property
    def left(self) -> float | None:
        """Seconds until the last epoch ends; None before the first has ended."""
        return self.seconds * (self.epochs - self.epoch) if self.epoch else None

    @property
    def words(self) -> str:
        """The state in a line."""
        place = f"SLURM job {self.job}" if self.job else "waits in the queue" if self.state == "queued" else ""
        if self.state == "running":
            eta = "" if self.left is None else f", {self.left / MINUTE:.1f} min left"
            place = ", ".join(filter(None, (f"{self.progress}{eta}", place)))
        return place

    @property
    def progress(self) -> str:
        """The number of finished epochs, in words."""
        return f"epoch {self.epoch} of {self.epochs} done"

    @property
    def is_alive(self) -> bool | None:
        """True if the process of the last start runs; None where another machine or SLURM has to answer."""
        return self.starts[-1].is_alive if self.starts and self.job is None else None


class State(NamedTuple):
    """State of a run, and the reason.

    It is done, pruned, failed, cancelled, interrupted, queued, running, requeued, gone or unfinished.
    """

    name: str
    reason: str

    @classmethod
    def of(cls, results: Mapping[str, Any], status: Status | None, written: float, ended: float) -> State:
        """The state from results.json and status.json, and from the times at which `status` and `results` were written.

        A status.json that is newer than the results of an earlier start is that of the present one, unless it is that
        of an end, which is written after the results.
        """
        end = str(results.get("status", UNFINISHED))
        if status is None or status.state in ENDED or end == "done" or (end != UNFINISHED and written <= ended):
            reason = results.get("train/stopped") if end == "pruned" else results.get("error")
            lines = str(reason or "").split("\n")
            return cls(end, " ".join(lines[-1].split()))
        if status.state != "running" or (alive := status.is_alive):
            return cls(status.state, status.words)
        if alive is not None:
            return cls(GONE, f"its process on {status.starts[-1].host} has ended without a word; {status.progress}")
        age = time.time() - written
        if age > max(PATIENCE, 3 * status.seconds):
            return cls(GONE, f"no sign of it for {age / MINUTE:.0f} min; {status.progress}")
        return cls(status.state, status.words)
