"""A job of a sweep that is submitted to SLURM: whether it is done, and its end."""

from __future__ import annotations

from dataclasses import dataclass

from hydra.core.utils import JobReturn, JobStatus

from vae_cli.config.continuation import is_done
from vae_cli.config.search import WORST, score
from vae_cli.config.series import Series, without_hydra
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.overrides import Typed
from vae_cli.runs.queue import ended
from vae_cli.runs.status import UNFINISHED, WELL, Status


@dataclass(frozen=True)
class Work:
    """A job of a sweep: number, overrides, folder, and the options of groups."""

    number: int
    overrides: list[str]
    run: RunFolder
    options: dict[str, str]
    series: Series

    @property
    def is_done(self) -> bool:
        """True if the run of this job is complete."""
        return self.run.has_config and is_done(without_hydra(self.series.config(self.overrides)), self.run)

    @property
    def has_end(self) -> bool:
        """True if the run has ended by itself; an interrupted one may be on its way back into the queue."""
        status = self.run.status()
        return status is not None and status.state in (*WELL, "failed")

    def enqueue(self) -> None:
        """Write the state `queued` into the folder."""
        self.run.path.mkdir(parents=True, exist_ok=True)
        self.run.write_typed(Typed(self.overrides, self.options))
        earlier = self.run.status() or Status("queued")
        self.run.write_status(Status("queued", save_seconds=earlier.save_seconds, starts=earlier.starts))

    def result(self) -> JobReturn:
        """The score of the run, for hydra's sweepers."""
        end = JobReturn(overrides=self.overrides, status=JobStatus.COMPLETED)
        results = self.run.results_if_readable()
        end.return_value = score(results) if results.get("status") == "done" else WORST
        return end

    @property
    def has_failed(self) -> bool:
        """True if the run has failed since it was submitted, while others of its SLURM job are left."""
        status = self.run.status()
        return status is not None and status.state == "failed"

    def settle(self, job: str) -> Work:
        """Record the final state of a run whose SLURM job was killed before it could write one; this work."""
        status, end = self.run.status(), self.run.results_if_readable().get("status")
        if self.has_end or self.is_done or (status is None and end == "failed"):
            return self
        state = ended(self.run, job)
        if state and (state.name == "cancelled" or end in (None, UNFINISHED) or (status and status.state == "queued")):
            self.run.write_end(*state)
        return self
