"""Hydra launcher: the jobs of a sweep as a SLURM array, through submitit.

squeue and the folder of a job give its state; no accounting is needed. A job that is done or in the queue is not
submitted again.
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from contextlib import redirect_stderr, suppress
from copy import deepcopy
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_cli.commands.failure import attempt, require
from vae_cli.config.continuation import is_done
from vae_cli.config.search import WORST, score
from vae_cli.distributed import slurm
from vae_cli.distributed.signals import listen
from vae_cli.errors import UserError
from vae_cli.runs.atomic_files import write_text_atomically
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import display, sweep_name
from vae_cli.runs.overrides import Typed, options_of
from vae_cli.runs.queue import JOBS, PLACE, ended, submitted
from vae_cli.runs.status import UNFINISHED, Status

SHORTEST, LONGEST = 1.0, 30.0
"""Seconds between two polls of the queue."""


@dataclass(frozen=True)
class Work:
    """A job of a sweep: number, overrides, configuration, folder, and the options of groups."""

    number: int
    overrides: list[str]
    config: DictConfig
    run: RunFolder
    options: dict[str, str]

    @classmethod
    def of(cls, number: int, overrides: Sequence[str], context: HydraContext, master: DictConfig) -> Work:
        """The job as hydra composes it."""
        config = context.config_loader.load_sweep_config(master, list(overrides))
        folder = Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir
        task = deepcopy(config)
        with open_dict(task):
            del task["hydra"]
        options = options_of(config.hydra.runtime.choices)
        return cls(number, list(overrides), task, RunFolder(folder.absolute()), options)

    @property
    def is_done(self) -> bool:
        """True if the run of this job is complete."""
        return is_done(self.config, self.run)

    def enqueue(self) -> None:
        """Write the state `queued` into the folder."""
        self.run.path.mkdir(parents=True, exist_ok=True)
        self.run.write_typed(Typed(self.overrides, self.options))
        earlier = self.run.status() or Status("queued")
        self.run.write_status(Status("queued", save_seconds=earlier.save_seconds, starts=earlier.starts))

    def result(self) -> JobReturn:
        """The score of the run, for hydra's sweepers."""
        end = JobReturn(overrides=self.overrides, cfg=self.config, status=JobStatus.COMPLETED)
        results = self.run.results_if_readable()
        end.return_value = score(results) if results.get("status") == "done" else WORST
        return end


class Array(Launcher):
    """Submits an array with the resources of the group cluster, and waits for its jobs if `cluster.wait` is true."""

    submits: ClassVar = True

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config
        self.sweep = Path(config.hydra.sweep.dir).absolute()
        self.told: set[str] = set()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs that are not done; record the final state of jobs that SLURM ended."""
        setup_globals()
        works = [Work.of(initial_job_idx + n, o, self.context, self.config) for n, o in enumerate(job_overrides)]
        jobs = require("vae-train", attempt(lambda: self._submit([work for work in works if not work.is_done])))
        if self.config.cluster.wait:
            self._wait(jobs)
        return [work.result() for work in works]

    def _submit(self, works: list[Work]) -> dict[str, Work]:
        """Submit the jobs that are not in the queue; returns all by their SLURM job ids."""
        from submitit.core.utils import FailedJobError

        earlier = submitted(self.sweep)
        queue = slurm.queue()
        if queue is None:
            raise UserError("cluster=slurm: SLURM does not answer here (squeue); try again, or leave cluster=slurm out")
        waiting = {earlier[w.run.name]: w for w in works if earlier.get(w.run.name) in queue}
        new = [work for work in works if work not in waiting.values()]
        if waiting:
            print(f"{len(waiting)} jobs are in the queue already")
        if not new:
            return waiting
        before = [work.run.status() for work in new]
        try:
            for work in new:
                work.enqueue()
            jobs = self._array(new)
            known = earlier | {work.run.name: job for job, work in jobs.items()}
            write_text_atomically(self.sweep / PLACE / JOBS, json.dumps(known))
        except BaseException as error:
            self._withdraw(queue, new, before)
            if isinstance(error, FailedJobError):
                raise UserError(f"SLURM refuses the jobs: {reason(str(error))}; see the group `cluster`") from error
            raise
        array = next(iter(jobs)).partition("_")[0]
        print(f"{len(new)} jobs submitted as SLURM job {array}; vae-report {display(self.sweep)} shows their states")
        return waiting | jobs

    def _withdraw(self, queue: Container[str], works: list[Work], before: list[Status | None]) -> None:
        """Undo a submission that has failed: its jobs, if SLURM has any, and the states and new folders of the runs."""
        name = sweep_name(self.sweep)
        if jobs := [job for job, entry in (slurm.queue() or {}).items() if job not in queue and entry.name == name]:
            slurm.cancel(jobs)
        for work, status in zip(works, before, strict=True):
            if work.run.path.is_dir():
                with suppress(OSError):  # a full disk
                    work.run.write_status(status)
                if not work.run.has_run:
                    work.run.remove_if_empty()

    def _array(self, works: list[Work]) -> dict[str, Work]:
        """Submit an array; returns its jobs by SLURM job id."""
        import submitit

        executor = submitit.SlurmExecutor(self.sweep / PLACE / "%j")
        executor.update_parameters(**parameters(self.config))
        state = Singleton.get_state()
        rows = [(self.config, self.context, self.task, work.overrides, work.number, state) for work in works]
        with redirect_stderr(StringIO()):  # submitit prints the reason of a refusal, which the exception holds
            jobs = executor.map_array(execute, *zip(*rows, strict=True))
        return {job.job_id: work for job, work in zip(jobs, works, strict=True)}

    def _wait(self, jobs: dict[str, Work]) -> None:
        """Wait until no job is in the queue; squeue may miss a job once, while its state changes."""
        missed: set[str] = set()
        left, pause = dict(jobs), SHORTEST
        try:
            while left:
                time.sleep(pause)
                pause = min(LONGEST, 1.2 * pause)
                queue = slurm.queue()
                if queue is None:
                    continue
                self._tell(queue[job].reason for job in left.keys() & queue.keys() if queue[job].is_stuck)
                for job in left.keys() & missed - queue.keys():
                    settle(left.pop(job), job)
                missed = left.keys() - queue.keys()
        except (KeyboardInterrupt, SystemExit):
            print(f"the jobs continue without this command; scancel {arrays(left)} stops them", flush=True)
            raise

    def _tell(self, reasons: Iterable[str]) -> None:
        """Print each reason for which SLURM does not start jobs, once."""
        for why, count in Counter(reasons).items():
            if why not in self.told:
                self.told.add(why)
                print(f"SLURM does not start {count} jobs: {why}; see the group `cluster`", flush=True)


def arrays(jobs: Iterable[str]) -> str:
    """The numbers of the arrays to which jobs belong, for scancel."""
    return " ".join(sorted({job.partition("_")[0] for job in jobs}))


def reason(text: str) -> str:
    """The messages of sbatch in one line, each once."""
    lines = (line.removeprefix("sbatch: ").removeprefix("error: ").strip() for line in text.splitlines())
    return "; ".join(dict.fromkeys(line.removeprefix("Batch job submission failed: ") for line in lines if line))


def settle(work: Work, job: str) -> None:
    """Record the final state of a job that was killed before it could write one."""
    run, status, end = work.run, work.run.status(), work.run.results_if_readable().get("status")
    if work.is_done or (status is None and end == "failed"):
        return
    state = ended(run, job)
    if state and (state.name == "cancelled" or end in (None, UNFINISHED) or (status and status.state == "queued")):
        run.write_end(*state)


def parameters(config: DictConfig) -> dict[str, Any]:
    """Parameters for sbatch under submitit's names: one task per device."""
    cluster, trainer = config.cluster, config.trainer
    tasks = len(trainer.devices) if OmegaConf.is_list(trainer.devices) else trainer.devices
    uses = trainer.accelerator == "gpu" or (trainer.accelerator == "auto" and slurm.has_gpus(cluster.partition))
    gpus = cluster.gpus if cluster.gpus is not None else tasks * uses
    options = dict(option.lstrip("-").partition("=")[::2] for option in cluster.options)
    cores = "$SLURM_CPUS_PER_TASK"  # srun does not inherit it from sbatch
    wanted = {
        "job_name": sweep_name(Path(config.hydra.sweep.dir)),
        "time": cluster.time,
        "mem": f"{round(1024 * cluster.memory)}M",
        "nodes": trainer.num_nodes,
        "ntasks_per_node": tasks,
        "cpus_per_task": cluster.cpus,
        "gpus_per_node": gpus or None,
        "partition": cluster.partition,
        "account": cluster.account,
        "signal_delay_s": cluster.notice,
        "array_parallelism": cluster.parallel,
        "srun_args": ["--kill-on-bad-exit=1"],
        "setup": [f"export SRUN_CPUS_PER_TASK={cores} OMP_NUM_THREADS={cores} PYTHONSAFEPATH=1", *cluster.setup],
        "additional_parameters": {"requeue": True} | {name: value or True for name, value in options.items()},
    }
    return {name: value for name, value in wanted.items() if value is not None}


def execute(
    config: DictConfig, context: HydraContext, task: TaskFunction, overrides: list[str], number: int, state: Any
) -> None:
    """Run a job; called again after each requeue."""
    for name in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(name, signal.SIG_DFL)  # submitit's handlers ignore SIGTERM and requeue at SIGUSR2
    listen()
    setup_globals()
    Singleton.set_state(state)
    settings = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(settings):
        settings.hydra.job.id, settings.hydra.job.num = slurm.job(), number
    done = run_job(
        hydra_context=context,
        task_function=task,
        config=settings,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    _ = done.return_value  # raises an error that hydra has kept
