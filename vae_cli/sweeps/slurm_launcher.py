"""Hydra launcher: the jobs of a sweep as a SLURM array.

squeue and the folder of a job give its state; no accounting is needed. A job that is done or in the queue is not
submitted again.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from vae_cli.commands.failure import attempt, require
from vae_cli.config.command_line import quote
from vae_cli.config.compose import Composer
from vae_cli.config.job_names import job_folders
from vae_cli.config.series import Series
from vae_cli.distributed import slurm
from vae_cli.distributed.progress import track
from vae_cli.errors import UserError, counted
from vae_cli.runs.atomic_files import write_text_atomically
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import display, queue_name
from vae_cli.runs.overrides import options_of
from vae_cli.runs.queue import JOBS, PLACE, submitted
from vae_cli.runs.status import Status
from vae_cli.sweeps.packing import jobs_per_task
from vae_cli.sweeps.slurm_script import script
from vae_cli.sweeps.slurm_task import TaskFile, TaskJob
from vae_cli.sweeps.slurm_work import Work
from vae_cli.sweeps.table import note

SHORTEST, LONGEST = 1.0, 30.0
"""Seconds between two polls of the queue: a fortieth of the time since the start, within these limits."""
AWAY = 10.0
"""Seconds for which squeue may miss a job that has not ended, while SLURM puts it back into the queue."""


class Array(Launcher):
    """Submits an array with the resources of the group cluster, and waits for its jobs if `cluster.wait` is true."""

    submits: ClassVar = True

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.sweep = config, Path(config.hydra.sweep.dir).absolute()
        self.series = Series(Composer.of(config.hydra), partial(hydra_context.config_loader.load_sweep_config, config))
        self.left, self.told, self.missed = dict[str, list[Work]](), set[str](), dict[str, float]()
        self.began = time.monotonic()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs that are not done; record the final state of jobs that SLURM ended."""
        works = self._works(job_overrides, initial_job_idx)
        self._enter(works)
        while self.left and self.config.cluster.wait:
            self._wait_for_one()
        return [work.result() for work in works]

    def ends(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Submit the jobs that are not done; the ends of those that are, else of the next that leave the queue."""
        done = self._enter(self._works(job_overrides, initial_job_idx)) if job_overrides else None
        return [work.result() for work in done or self._wait_for_one()]

    def _works(self, given: Sequence[Sequence[str]], first: int) -> list[Work]:
        setup_globals()
        jobs = list(map(list, given))
        names = job_folders(self.config, jobs) or [str(self.series.config(job).hydra.sweep.subdir) for job in jobs]
        runs = [RunFolder(self.sweep / name) for name in names]
        options = [options_of(self.series.choices(job)) for job in jobs]
        return [Work(n, *work, self.series) for n, work in enumerate(zip(jobs, runs, options, strict=True), first)]

    def _enter(self, works: list[Work]) -> list[Work]:
        """Submit the jobs that are not done; returns the others."""
        done = [work for work in works if work.is_done]
        by_job = require("vae-train", attempt(lambda: self._submit([work for work in works if work not in done])))
        for job, part in by_job.items():
            self.left.setdefault(job, []).extend(part)
        return done

    def _submit(self, works: list[Work]) -> dict[str, list[Work]]:
        """Submit the jobs that are not in the queue; returns all by their SLURM job ids."""
        earlier = submitted(self.sweep)
        queue = slurm.queue()
        if queue is None:
            raise UserError("cluster=slurm: SLURM does not answer here (squeue); try again, or leave cluster=slurm out")
        waiting = [work for work in works if earlier.get(work.run.name) in queue and not work.has_failed]
        new = [work for work in works if work not in waiting]
        ids = {work.run.name: earlier[work.run.name] for work in waiting}
        if waiting:
            print(f"in the queue already: {counted(len(waiting), 'job')}")
        if new:
            before = [work.run.status() for work in new]
            files = self._files()
            try:
                for work in track(new, "writing the folders of the jobs"):
                    work.enqueue()
                ids |= self._submit_new(new)
                write_text_atomically(self.sweep / PLACE / JOBS, json.dumps(earlier | ids, indent=0))
                note(self.config)
            except BaseException:
                self._withdraw(queue, new, before, files)
                raise
        jobs: dict[str, list[Work]] = {}
        for work in [*waiting, *new]:
            jobs.setdefault(ids[work.run.name], []).append(work)
        return jobs

    def _withdraw(
        self, queue: Container[str], works: list[Work], before: list[Status | None], files: set[Path]
    ) -> None:
        """Undo a submission that has failed: its jobs in SLURM, states and new folders of the runs, files of arrays.

        Args:
            queue, before, files: jobs, states and files of arrays before it
        """
        name = queue_name(self.sweep)
        if jobs := [job for job, entry in (slurm.queue() or {}).items() if job not in queue and entry.name == name]:
            with suppress(UserError):  # the reason of the failure is told
                slurm.cancel(jobs)
        for work, status in zip(works, before, strict=True):
            if work.run.path.is_dir():
                with suppress(OSError):  # a full disk
                    work.run.write_status(status)
                if not work.run.has_run:
                    work.run.remove_if_empty()
        for file in self._files() - files:
            file.unlink()
        with suppress(OSError):  # it holds files of earlier jobs
            (self.sweep / PLACE).rmdir()

    def _submit_new(self, works: list[Work]) -> dict[str, str]:
        """Submit jobs as arrays, one after another, each as large as SLURM allows; their ids by the names of the runs.

        An array waits for the end of the one before, because `cluster.parallel` counts within one array.
        """
        pack = jobs_per_task(self.config, [work.run for work in works])
        size, array, ids = pack * slurm.largest_array(), None, dict[str, str]()
        for first in range(0, len(works), size):
            part = works[first : first + size]
            array = self._array(part, pack, array)
            ids |= {work.run.name: f"{array}_{n // pack}" for n, work in enumerate(part)}
        packed = f", {pack} in each task, one after another" if pack > 1 else ""
        named = f"{arrays(ids.values())} ({queue_name(self.sweep)})"
        shows = f"vae-status {display(self.sweep)} shows their states"
        print(f"{counted(len(works), 'job')} submitted as SLURM job {named}{packed}; {shows}")
        return ids

    def _array(self, works: list[Work], pack: int, earlier: str | None) -> str:
        """Submit an array, which waits for the end of an earlier one; its SLURM job id."""
        place = self.sweep / PLACE
        place.mkdir(exist_ok=True)
        file = place / f"array{len(list(place.glob('array*.json'))) + 1}.json"
        jobs = [TaskJob(work.number, work.run.name, work.overrides) for work in works]
        TaskFile(
            self.series.composer.name,
            [str(folder) for folder in self.series.composer.sources.folders],
            str(self.sweep),
            [*self.config.hydra.overrides.hydra, f"hydra.sweep.dir={quote(str(self.sweep))}"],
            pack,
            jobs,
        ).write(file)
        write_text_atomically(file.with_suffix(".sh"), script(self.config, file, -(-len(works) // pack), earlier))
        return slurm.submit(file.with_suffix(".sh"))

    def _files(self) -> set[Path]:
        """The files of jobs and the scripts that were submitted."""
        return {*(self.sweep / PLACE).glob("array*")}

    def _wait_for_one(self) -> list[Work]:
        """Wait until the runs of SLURM jobs have ended, or SLURM has ended them, which is then recorded; these runs."""
        try:
            while True:
                time.sleep(min(LONGEST, max(SHORTEST, (time.monotonic() - self.began) / 40)))
                queue = slurm.queue()
                if queue is None:
                    continue
                self._tell(queue[job].reason for job in self.left.keys() & queue.keys() if queue[job].is_stuck)
                gone = self.left.keys() - queue.keys()
                begun = [job for job in self.left if job in gone or queue[job].state != "PENDING"]
                done = {job for job in begun if all(work.has_end for work in self.left[job])}
                now = time.monotonic()
                self.missed = {job: self.missed.get(job, now) for job in gone}
                if over := done | {job for job, since in self.missed.items() if now - since > AWAY}:
                    return [work.settle(job) for job in over for work in self.left.pop(job)]
        except (KeyboardInterrupt, SystemExit):
            print(f"the jobs continue without this command; scancel {arrays(self.left)} stops them", flush=True)
            raise

    def _tell(self, reasons: Iterable[str]) -> None:
        """Print each reason for which SLURM does not start jobs, once."""
        for why, count in Counter(reasons).items():
            if why not in self.told:
                self.told.add(why)
                print(f"SLURM does not start {counted(count, 'job')}: {why}; see the group `cluster`", flush=True)


def arrays(jobs: Iterable[str]) -> str:
    """The numbers of the arrays to which jobs belong, for scancel."""
    return " ".join(sorted({job.partition("_")[0] for job in jobs}))
