"""How a run stands, from the files in its folder alone."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from vae_cli.runs.atomic_files import write_text_atomically
from vae_cli.runs.layout import RESULTS

FILE = "status.json"
UNFINISHED = "unfinished"
PATIENCE = 600.0
"""Seconds without an epoch's end after which a run is no longer believed to run, or three epochs if that is more."""


@dataclass(frozen=True)
class Status:
    """What a run, or whoever submits it, writes before its end; afterwards results.json says more.

    job: of SLURM
    requeued: how often it reached a time limit and went back into the queue
    epoch, epochs: done, and in all
    seconds: an epoch takes
    """

    state: Literal["queued", "running", "requeued"]
    job: str | None = None
    requeued: int = 0
    epoch: int = 0
    epochs: int = 0
    seconds: float = 0.0

    def write(self, folder: Path) -> None:
        """Into a run's folder."""
        write_text_atomically(folder / FILE, json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Status | None:
        """From a run's folder; None where there is none that can be read."""
        try:
            return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def words(self) -> str:
        """Where it stands, in a line."""
        place = f"SLURM job {self.job}" if self.job else "waits in the queue" if self.state == "queued" else ""
        if self.state == "running":
            left = self.seconds * (self.epochs - self.epoch)
            eta = f", {left / 60:.1f} min left" if self.epoch else ""
            place = ", ".join(filter(None, (f"epoch {self.epoch} of {self.epochs} done{eta}", place)))
        return place


def run_status(folder: Path) -> tuple[str, str]:
    """(status, reason) of a run: done, failed, cancelled, interrupted, queued, running, requeued or unfinished."""
    results, status = _results(folder), Status.read(folder)
    ended = str(results.get("status", UNFINISHED))
    newer = _written(folder / FILE) > _written(folder / RESULTS)
    if status is None or ended == "done" or (ended != UNFINISHED and not newer):
        lines = str(results.get("error") or "").split("\n")
        return ended, " ".join(lines[-1].split())
    age = time.time() - _written(folder / FILE)
    if status.state == "running" and age > max(PATIENCE, 3 * status.seconds):
        return UNFINISHED, f"killed, it seems: no sign of it for {age / 60:.0f} min; {status.words}"
    return status.state, status.words


def _results(folder: Path) -> dict[str, Any]:
    try:
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return results if isinstance(results, dict) else {}


def _written(file: Path) -> float:
    """When; 0 where there is none."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
