"""The state of a run: queued, running, or how it has ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

UNFINISHED = "unfinished"
"""Status in results.json of a run that has begun and not ended."""
ENDED = ("done", "failed", "interrupted", "cancelled")
"""States of a run that has ended."""
PATIENCE = 600.0
"""Seconds without the end of an epoch after which a run counts as killed, or three epochs if that is more."""


@dataclass(frozen=True)
class Status:
    """The state of a run, which the run or its launcher writes; results.json has the reason of an end.

    Args:
        job: number of the SLURM job
        requeued: times that the run has reached a time limit and gone back to the queue
        epoch: number of finished epochs
        epochs: number of epochs in all
        seconds: duration of an epoch
    """

    state: Literal["queued", "running", "requeued", "done", "failed", "interrupted", "cancelled"]
    job: str | None = None
    requeued: int = 0
    epoch: int = 0
    epochs: int = 0
    seconds: float = 0.0

    @property
    def words(self) -> str:
        """The state in a line."""
        place = f"SLURM job {self.job}" if self.job else "waits in the queue" if self.state == "queued" else ""
        if self.state == "running":
            left = self.seconds * (self.epochs - self.epoch)
            eta = f", {left / 60:.1f} min left" if self.epoch else ""
            place = ", ".join(filter(None, (f"epoch {self.epoch} of {self.epochs} done{eta}", place)))
        return place


class State(NamedTuple):
    """State of a run (done, failed, cancelled, interrupted, queued, running, requeued, unfinished), and the reason."""

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
            lines = str(results.get("error") or "").split("\n")
            return cls(end, " ".join(lines[-1].split()))
        age = time.time() - written
        if status.state == "running" and age > max(PATIENCE, 3 * status.seconds):
            return cls(UNFINISHED, f"probably killed: no sign of it for {age / 60:.0f} min; {status.words}")
        return cls(status.state, status.words)
