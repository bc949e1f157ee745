"""Hydra launcher: the jobs of a sweep as a SLURM array, through submitit.

squeue and the folder of a job give its state; no accounting is needed. A job that is done or in the queue is not
submitted again.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
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
from vae_cli.runs.status import UNFINISHED, Status

PLACE = ".submitit"
JOBS = "jobs.json"
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
        self.run.write_status(Status("queued"))

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
        file = self.sweep / PLACE / JOBS
        earlier: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        queue = slurm.alive()
        if queue is None:
            raise UserError("cluster=slurm: SLURM does not answer here (squeue); try again, or leave cluster=slurm out")
        waiting = {earlier[w.run.name]: w for w in works if earlier.get(w.run.name) in queue}
        new = [work for work in works if work not in waiting.values()]
        if waiting:
            print(f"{len(waiting)} jobs are in the queue already")
        if not new:
            return waiting
        before = [work.run.status() for work in new]
        for work in new:
            work.enqueue()
        try:
            jobs = self._array(new)
        except Exception as error:
            for work, status in zip(new, before, strict=True):
                work.run.write_status(status)
            reason = " ".join(str(error).split())
            raise UserError(f"SLURM refuses the jobs: {reason}; check the settings of the group `cluster`") from error
        write_text_atomically(file, json.dumps(earlier | {work.run.name: job for job, work in jobs.items()}))
        array = next(iter(jobs)).partition("_")[0]
        print(f"{len(new)} jobs submitted as SLURM job {array}; vae-report {display(self.sweep)} shows their states")
        return waiting | jobs

    def _array(self, works: list[Work]) -> dict[str, Work]:
        """Submit an array; returns its jobs by SLURM job id."""
        import submitit

        executor = submitit.SlurmExecutor(self.sweep / PLACE / "%j")
        executor.update_parameters(**parameters(self.config))
        state = Singleton.get_state()
        rows = [(self.config, self.context, self.task, work.overrides, work.number, state) for work in works]
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
                queue = slurm.alive()
                if queue is None:
                    continue
                for job in left.keys() & missed - queue.keys():
                    settle(left.pop(job), job)
                missed = left.keys() - queue.keys()
        except KeyboardInterrupt:
            arrays = " ".join(sorted({job.partition("_")[0] for job in left}))
            print(f"the jobs continue without this command; scancel {arrays} stops them")
            raise


def settle(work: Work, job: str) -> None:
    """Record the final state of a job that was killed before it could write one."""
    run, status = work.run, work.run.status()
    if work.is_done or (status is None and run.results_if_readable().get("status") == "failed"):
        return
    state = slurm.state(job)
    ended = run.results_if_readable().get("status")
    if state == "CANCELLED":
        run.write_end("cancelled", f"cancelled in SLURM (job {job})")
    elif ended in (None, UNFINISHED) or (status and status.state == "queued"):
        log = display(run.path.parent / PLACE / job / f"{job}_0_log.err")
        run.write_end("failed", f"ended by SLURM (job {job}, {state or 'state unknown'}); see {log}")


def parameters(config: DictConfig) -> dict[str, Any]:
    """Parameters for sbatch under submitit's names: one task per device."""
    cluster, trainer = config.cluster, config.trainer
    tasks = len(trainer.devices) if OmegaConf.is_list(trainer.devices) else trainer.devices
    gpus = cluster.gpus if cluster.gpus is not None else tasks * (trainer.accelerator == "gpu")
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
        "signal_delay_s": 120,
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
    run_job(
        hydra_context=context,
        task_function=task,
        config=settings,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
