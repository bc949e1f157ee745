"""A task of a SLURM array, which runs some jobs of a sweep: python -m vae_cli.sweeps.slurm_task FILE."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from signal import SIGUSR2

from hydra.core.utils import setup_globals
from omegaconf import DictConfig, open_dict

from vae_cli.commands import job as training
from vae_cli.commands.failure import Failure, attempt, report
from vae_cli.config.compose import Composer, session
from vae_cli.config.series import Series
from vae_cli.config.sources import Sources
from vae_cli.distributed import signals, slurm
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.distributed.signals import TimeLimit
from vae_cli.distributed.terminal import outlive
from vae_cli.errors import FAILED
from vae_cli.runs.atomic_files import write_text_atomically
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.queue import log
from vae_cli.runs.status import WELL
from vae_cli.sweeps.hydra_job import context_of, run_job


@dataclass(frozen=True)
class TaskJob:
    """A job of a sweep: its number, the name of its folder, and its overrides."""

    number: int
    name: str
    overrides: list[str]


@dataclass(frozen=True)
class TaskFile:
    """The jobs of an array, `pack` of them in a task.

    Args:
        root: name of the root configuration
        sources: folders of YAML files
        sweep: path of the sweep's folder
        hydra: overrides of hydra's own keys, which all jobs share
    """

    root: str
    sources: list[str]
    sweep: str
    hydra: list[str]
    pack: int
    jobs: list[TaskJob]

    @classmethod
    def read(cls, file: Path) -> TaskFile:
        """The jobs in a file."""
        content = json.loads(file.read_text(encoding="utf-8"))
        return cls(**content | {"jobs": [TaskJob(**job) for job in content["jobs"]]})

    def write(self, file: Path) -> None:
        """Write the jobs into a file."""
        write_text_atomically(file, json.dumps(asdict(self), indent=0) + "\n")

    def of_task(self, number: int) -> list[TaskJob]:
        """The jobs of a task."""
        return self.jobs[number * self.pack : (number + 1) * self.pack]

    def config(self, job: TaskJob, series: Series) -> DictConfig:
        """The configuration of a job, with its hydra node."""
        config = series.config([*self.hydra, *job.overrides])
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = f"{slurm.job()}.{job.number}", job.number
        return config


def main() -> None:
    """Run the jobs of the task that SLURM has started."""
    signals.listen()
    outlive()
    file, number = TaskFile.read(Path(sys.argv[1])), int(os.environ["SLURM_ARRAY_TASK_ID"])
    try:
        code = run(file, file.of_task(number))
    except SystemExit as stop:
        code = signals.exit_code(stop)
    signals.finish(code)
    sys.exit(code)


def run(file: TaskFile, jobs: Sequence[TaskJob]) -> int:
    """Run jobs one after another; the exit code, which is not 0 if one of them has failed.

    A job that fails does not end the others. At the time limit the task goes back into the queue, and continues later
    with the jobs that have not ended.
    """
    runs = [RunFolder(Path(file.sweep, job.name)) for job in jobs]
    composer = Composer(file.root, Sources(tuple(map(Path, file.sources))))
    series, code = Series(composer, composer.compose), 0
    skips = slurm.restarted() and len(jobs) > 1
    with session():
        setup_globals()
        try:
            for job, folder in zip(jobs, runs, strict=True):
                if skips and _has_ended(folder):
                    continue
                _train(file, job, folder, series)
                if signals.raised() == SIGUSR2:  # it came when the job had ended
                    raise TimeLimit
        except TimeLimit:
            left = [(job, folder) for job, folder in zip(jobs, runs, strict=True) if not _has_ended(folder)]
            if left and is_rank_zero():
                (job, folder), *_ = left
                limit = file.config(job, series).cluster.requeue
                failure = training.requeue(folder, limit, ExitStack())
                report("vae-train", failure)
                code = failure.exit_code
        except SystemExit as stop:
            code = signals.exit_code(stop)
    if is_rank_zero():
        if signals.raised() == SIGUSR2 and not any(_state(folder) == "requeued" for folder in runs):
            for folder in runs:
                if _state(folder) == "queued":
                    folder.write_end("interrupted", "the time limit of its SLURM job came before it began")
        code = code or FAILED * (not all(folder.results_if_readable().get("status") in WELL for folder in runs))
    return code


def _train(file: TaskFile, job: TaskJob, folder: RunFolder, series: Series) -> None:
    """Train a job; an error outside of its training, too, is the failure of this job alone."""
    if is_rank_zero():
        _link_log(folder)
    result = attempt(lambda: _as_hydra(file.config(job, series)), folder.log_file)
    if isinstance(result, Failure):
        if isinstance(result.error, KeyboardInterrupt | SystemExit):
            raise result.error
        report("vae-train", result)
        folder.write_end(result.status, result.message)


def _as_hydra(config: DictConfig) -> None:
    """Run a job as hydra's launchers do."""
    done = run_job(training.task, config, context_of(config))
    _ = done.return_value  # raises an error that hydra has kept


def _link_log(folder: RunFolder) -> None:
    """Link the output of this SLURM job into the folder of a run."""
    target = log(folder.path.parent, str(slurm.job()))
    with suppress(OSError):
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.slurm_log.unlink(missing_ok=True)
        folder.slurm_log.symlink_to(os.path.relpath(target, folder.path))


def _state(folder: RunFolder) -> str | None:
    status = folder.status()
    return status and status.state


def _has_ended(folder: RunFolder) -> bool:
    """True if the run has ended in this SLURM job: its submission has reset the state."""
    return _state(folder) in (*WELL, "failed")


if __name__ == "__main__":
    main()
