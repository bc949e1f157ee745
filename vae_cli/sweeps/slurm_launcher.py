"""A launcher for hydra: the jobs of a sweep as a SLURM array, by way of submitit.

It needs no accounting: how a job stands is told by squeue and by its folder. Jobs that are done are not submitted
again, nor are those that an earlier start has put into the queue.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_cli.commands.job import Failure, attempt, report, write_status
from vae_cli.config.search import WORST, score
from vae_cli.distributed import slurm
from vae_cli.distributed.signals import listen
from vae_cli.errors import UserError
from vae_cli.runs.atomic_files import write_text_atomically
from vae_cli.runs.continuation import fingerprint, is_done, read_results
from vae_cli.runs.layout import CONFIG, STARTED, display, sweep_name
from vae_cli.runs.saved_config import read_config
from vae_cli.runs.status import FILE, Status

PLACE = ".submitit"
JOBS = "jobs.json"
SHORTEST, LONGEST = 1.0, 30.0
"""Seconds between two looks at the queue."""


@dataclass(frozen=True)
class Work:
    """One job of a sweep: its number, its overrides and its folder."""

    number: int
    overrides: list[str]
    config: DictConfig
    folder: Path

    @classmethod
    def of(cls, number: int, overrides: Sequence[str], context: HydraContext, master: DictConfig) -> Work:
        """As hydra will compose it."""
        config = context.config_loader.load_sweep_config(master, list(overrides))
        folder = Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir
        task = deepcopy(config)
        with open_dict(task):
            del task["hydra"]
        return cls(number, list(overrides), task, folder.absolute())

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        same = (self.folder / CONFIG).is_file() and fingerprint(read_config(self.folder)) == fingerprint(self.config)
        return same and is_done(self.folder)

    def enqueue(self) -> None:
        """Leave word in the folder that the job waits."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / STARTED).exists():
            write_text_atomically(self.folder / STARTED, OmegaConf.to_yaml(OmegaConf.create(self.overrides)))
        Status("queued").write(self.folder)

    def result(self) -> JobReturn:
        """What hydra's sweepers want to know."""
        end = JobReturn(overrides=self.overrides, cfg=self.config, status=JobStatus.COMPLETED)
        results = read_results(self.folder)
        end.return_value = score(results) if results.get("status") == "done" else WORST
        return end


class Array(Launcher):
    """Submits an array, and waits for its jobs if `cluster.wait` says so; the group cluster has what each asks for."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what hydra hands over."""
        self.context, self.task, self.config = hydra_context, task_function, config
        self.sweep = Path(config.hydra.sweep.dir).absolute()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs that are not done; one that SLURM has ended otherwise gets its end written."""
        setup_globals()
        works = [Work.of(initial_job_idx + n, o, self.context, self.config) for n, o in enumerate(job_overrides)]
        result = attempt(lambda: self._submit([work for work in works if not work.is_done]))
        if isinstance(result, Failure):
            report("vae-train", result)
            sys.exit(result.exit_code)
        if self.config.cluster.wait:
            self._wait(result)
        return [work.result() for work in works]

    def _submit(self, works: list[Work]) -> dict[str, Work]:
        """Submit what is not in the queue already; returns all by their SLURM jobs."""
        file = self.sweep / PLACE / JOBS
        earlier: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        queue = slurm.alive()
        if queue is None:
            raise UserError("cluster=slurm: SLURM does not answer here (squeue); try again, or leave cluster=slurm out")
        waiting = {earlier[w.folder.name]: w for w in works if earlier.get(w.folder.name) in queue}
        new = [work for work in works if work not in waiting.values()]
        if waiting:
            print(f"{len(waiting)} jobs are in the queue already")
        if not new:
            return waiting
        before = [Status.read(work.folder) for work in new]
        for work in new:
            work.enqueue()
        try:
            jobs = self._array(new)
        except Exception as error:
            for work, status in zip(new, before, strict=True):
                status.write(work.folder) if status else (work.folder / FILE).unlink()
            reason = " ".join(str(error).split())
            raise UserError(f"SLURM refuses the jobs: {reason}; see the group cluster") from error
        write_text_atomically(file, json.dumps(earlier | {work.folder.name: job for job, work in jobs.items()}))
        array = next(iter(jobs)).partition("_")[0]
        print(f"{len(new)} jobs submitted as SLURM job {array}; vae-report {display(self.sweep)} shows how they stand")
        return waiting | jobs

    def _array(self, works: list[Work]) -> dict[str, Work]:
        """The works by the jobs that they are now."""
        import submitit

        executor = submitit.SlurmExecutor(self.sweep / PLACE / "%j")
        executor.update_parameters(**parameters(self.config))
        state = Singleton.get_state()
        rows = [(self.config, self.context, self.task, work.overrides, work.number, state) for work in works]
        jobs = executor.map_array(execute, *zip(*rows, strict=True))
        return {job.job_id: work for job, work in zip(jobs, works, strict=True)}

    def _wait(self, jobs: dict[str, Work]) -> None:
        """Until none of the jobs is in the queue; squeue may miss one that is changing its state, but not twice."""
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
            print(f"the jobs go on without this command; scancel {arrays} stops them")
            raise


def settle(work: Work, job: str) -> None:
    """Write how a job has ended that could not do it itself."""
    status = Status.read(work.folder)
    if work.is_done or (status is None and read_results(work.folder).get("status") == "failed"):
        return
    state = slurm.state(job)
    ended = read_results(work.folder).get("status")
    if state == "CANCELLED":
        write_status(work.folder, Failure(f"cancelled in SLURM (job {job})", 1, "cancelled"))
    elif ended in (None, "unfinished") or (status and status.state == "queued"):
        log = display(work.folder.parent / PLACE / job / f"{job}_0_log.err")
        write_status(work.folder, Failure(f"ended by SLURM (job {job}, {state or 'state unknown'}); see {log}", 1))


def parameters(config: DictConfig) -> dict[str, Any]:
    """What submitit tells sbatch: one process for each device."""
    cluster, trainer = config.cluster, config.trainer
    tasks = len(trainer.devices) if OmegaConf.is_list(trainer.devices) else trainer.devices
    gpus = cluster.gpus if cluster.gpus is not None else tasks * (trainer.accelerator == "gpu")
    options = dict(option.lstrip("-").partition("=")[::2] for option in cluster.options)
    cores = "$SLURM_CPUS_PER_TASK"  # srun does not take it from sbatch
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
    """What runs in a job, again after each time it was requeued; its end is in its folder."""
    for name in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(name, signal.SIG_DFL)  # submitit's handlers would ignore the one, and requeue at the other
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
