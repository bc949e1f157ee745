"""One training job under hydra: alone, in a sweep, or as one of several processes."""

from __future__ import annotations

import gc
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from signal import SIGUSR2
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_cli.commands.failure import Failure, attempt, report
from vae_cli.commands.header import show_configuration
from vae_cli.commands.light_imports import uncollected
from vae_cli.config import resume
from vae_cli.config.check import check
from vae_cli.config.compose import Composer
from vae_cli.config.continuation import is_done, remaining
from vae_cli.config.job_names import JOBS
from vae_cli.config.schema import TrainConfig, plain
from vae_cli.config.search import WORST, chooses, same_data, score
from vae_cli.distributed import slurm
from vae_cli.distributed.cores import Arrival, arrival_of_sweep, flush_denormals
from vae_cli.distributed.progress import task as show
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.distributed.signals import INTERRUPTED, TIME_LIMIT, ignore, listen
from vae_cli.distributed.terminal import begin_log, outlive
from vae_cli.errors import DIFFERENT, FAILED, REFUSED, UserError, counted
from vae_cli.runs import study
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import display
from vae_cli.runs.overrides import Typed, options_of
from vae_cli.runs.source_code import source_code
from vae_cli.runs.status import Status
from vae_cli.training.data_location import load_again

IDLE = 3
"""Starts in a row that reach the time limit with nothing saved, after which a job is not requeued."""


def task(config: DictConfig) -> float:
    """Train in the run's folder; returns the score that a search maximises, -inf for a run that failed.

    The process exits with the code of a job that is alone in it; else the task returns, so that the next job starts.
    A reproduction, which is always alone, exits with a code of its own if its numbers differ.
    """
    logging.raiseExceptions = False  # a log on a full disk must not fill the terminal with tracebacks
    outlive()
    if os.environ.get("SUBMITIT_EXECUTOR") == "local":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # submitit ignores it
    listen()
    job = Job.of(config)
    if not is_rank_zero():
        run_worker(job.train, job.run)
        return WORST
    result = attempt(job.train_alone, job.run.log_file)
    if isinstance(result, Failure):
        return job.end(result)
    if job.searching:
        job.tell(result)
    if result.get("reproduction/different"):
        sys.exit(DIFFERENT)
    return score(result)


@dataclass(frozen=True)
class Job:
    """A job: its configuration as composed, its folder, the overrides of the command line and its options."""

    config: DictConfig
    run: RunFolder
    overrides: list[str]
    sweeping: bool
    searching: bool
    options: dict[str, str]
    number: str | None
    """In its sweep, as in 3 of 8."""

    @classmethod
    def of(cls, config: DictConfig) -> Job:
        """The job that hydra has just begun with this configuration."""
        settings = HydraConfig.get()
        sweeping = settings.mode == RunMode.MULTIRUN
        folder = RunFolder(Path(settings.runtime.output_dir).absolute())
        searching, options = sweeping and chooses(settings.sweeper), options_of(settings.runtime.choices)
        jobs = OmegaConf.select(settings, JOBS.removeprefix("hydra."))  # pyright: ignore[reportArgumentType]
        number = f"{settings.job.num + 1}{f' of {jobs}' if jobs else ''}" if sweeping else None
        return cls(config, folder, list(settings.overrides.task), sweeping, searching, options, number)

    def train_alone(self) -> Any:
        """Train while no other process works in the folder; the results, or a Failure, which the folder records.

        The loggers close last, because W&B may take long or fail.
        """
        with self.run.hold(), ExitStack() as closing:
            earlier = self.run.started
            result = attempt(lambda: self.train(closing), self.run.log_file)
            begun = self.run.started != earlier
            if isinstance(result, Failure) and result.status == "requeued" and begun and self.run.is_done:
                result = self.run.results_if_readable()  # the signal came after the end
            if not isinstance(result, Failure):
                if not self.sweeping:
                    ignore(SIGUSR2)  # a time limit does not matter any more
                return result
            if begun:
                with suppress(OSError):  # a full disk
                    self.run.write_status(self.run.present_status())
            if isinstance(result.error, UserError) and not (begun or self.sweeping):
                self.run.remove_if_empty()
                if result.exit_code == REFUSED or not self.run.path.is_dir():
                    return result
            if result.status == "requeued":
                result = requeue(self.run, self.config.cluster.requeue, closing)
            if result.status != "requeued" and (begun or earlier is None):  # else the results of an earlier run stay
                self.run.write_end(result.status, result.message)
                begin_log()
                if self.run.log_file.is_file():
                    logging.getLogger("vae_cli").error(result.message)
            return result

    def train(self, closing: ExitStack | None = None) -> dict[str, Any]:
        """Train the remaining part of the job; the results. `closing` closes the loggers."""
        config = self._remaining() if self.sweeping else self._chosen()
        if config is None:
            if is_rank_zero():
                epochs = 2 * self.run.config().trainer.max_epochs
                more = "" if self.sweeping else f"; use trainer.max_epochs={epochs} to train on"
                print(f"{self.run.name}: done already{more}", flush=True)
            return self.run.results_if_readable()
        checkpoint = self.run.newest_checkpoint() if config.resume else None  # read once; damaged ones are refused here
        if is_rank_zero():
            if checkpoint and self.sweeping:
                print(f"{self.run.name}: resumes from its last checkpoint")
            self.run.write_typed(self._typed(config))
            show_configuration(config, self.run, self.run.typed_if_readable().options, self.number)
            source_code(Path.cwd())  # git answers while the libraries are imported
        with show("importing torch"), uncollected():
            from vae_cli.training.loading import load_data

        flush_denormals()  # before torch starts its threads
        arrival = arrival_of_sweep() if self.sweeping else Arrival.now()
        with show("loading the data"):
            data = load_again(config) if config.resume else load_data(config)
        if self.searching:
            same_data(self.run.path, data.sha256)
        with show("importing Lightning"), uncollected():  # after the data are read, because the import takes seconds
            from vae_cli.commands.train import train
        freeze()
        return train(config, data, self.run.path, arrival, checkpoint, closing)

    def _typed(self, config: TrainConfig) -> Typed:
        """The command line of the run; a reproduction has that of its run."""
        typed = Typed(self.overrides, self.options)
        return RunFolder(Path(config.reproduce)).typed_if_readable() if config.reproduce else typed

    def _remaining(self) -> TrainConfig | None:
        """The configuration of a job of a sweep; None if the job is done."""
        config = remaining(self.config, self.run)
        if config is not None and is_rank_zero():
            self.run.write_typed(Typed(self.overrides, self.options))  # the table lists a job that the check refuses
        return None if config is None else check(config)

    def _chosen(self) -> TrainConfig | None:
        """The configuration as composed, or that of the run that is resumed; None if that run is done."""
        composer = Composer.of(HydraConfig.get())
        if self.config.resume is None and not (self.config.ckpt == "last" and self.run.has_checkpoint):
            if self.config.ckpt is None and is_rank_zero():
                resume.refuse_used(self.run)  # another process may have ended here since the first look
            if self.config.reproduce is None:
                return check(self.config)
            return resume.reproduced(RunFolder(Path(self.config.reproduce)), composer, self.overrides)
        chosen = resume.resumed(self.run, composer, self.overrides)
        return None if is_done(plain(chosen), self.run) else chosen

    def tell(self, results: dict[str, Any]) -> None:
        """Tell the study of the search how the trial has ended; what fails here the search itself tells it later."""
        pruned = results.get("status") == "pruned"
        attempt(lambda: study.finish(self.run.path.parent, self.overrides, score(results), pruned=pruned))

    def end(self, failure: Failure) -> float:
        """Report a failure; the process exits if the job is alone in it, or if the sweep is stopped."""
        if not isinstance(failure.error, UserError) and not self.run.path.is_dir():
            failure = Failure(f"{self.run}: the folder of the run has vanished while it trained", FAILED)
        elif failure.status == "interrupted" and not self.sweeping:
            failure = replace(failure, message=f"{failure.message}; {remedy(self.run)}")
        report("vae-train", failure)
        if not self.sweeping:
            sys.exit(failure.exit_code)
        if failure.is_stop:
            raise KeyboardInterrupt if failure.exit_code == INTERRUPTED else SystemExit(failure.exit_code)
        return WORST


@cache
def freeze() -> None:
    """Leave the objects of torch and Lightning out of full collections, which take a quarter of a second with them."""
    gc.freeze()


def run_worker(work: Callable[[], Any], run: RunFolder) -> None:
    """Take part in a run of several processes as a rank above 0, which neither writes nor prints."""
    result = attempt(work, run.log_file)
    if isinstance(result, Failure) and not result.is_stop:
        sys.exit(result.exit_code)
    ignore()  # srun would end rank 0, which saves or writes results


def remedy(run: RunFolder) -> str:
    """The command that resumes an interrupted run."""
    if not run.checkpoint("last").is_file():
        return "nothing was saved yet"
    command = shlex.join(["vae-train", f"resume={run}"])
    return f"saved in {display(run.checkpoint('last'))}; continue with: {command}"


def requeue(run: RunFolder, limit: int, closing: ExitStack) -> Failure:
    """Put a run near its time limit back into the queue, unless it was there `limit` times, or SLURM refuses."""
    status = (run.status() or Status("running")).ended("time limit")
    count, idle = status.requeued + 1, status.idle_starts
    if count > limit:
        message = f"time limit, after it was requeued {counted(limit, 'time')} (cluster.requeue)"
        return Failure(message, TIME_LIMIT, "interrupted")
    if idle >= IDLE:
        message = f"time limit; the last {idle} starts saved nothing: use a longer cluster.time"
        return Failure(message, TIME_LIMIT, "interrupted")
    run.write_status(replace(status, state="requeued", job=slurm.job(), requeued=count))
    ignore()  # further signals of SLURM: all is saved
    closing.close()  # before SLURM ends the job
    if not slurm.requeue():
        run.write_status(status)
        return Failure("time limit; SLURM refuses to requeue the job", TIME_LIMIT, "interrupted")
    return Failure(f"time limit; back in the queue for the {count}. time of {limit}", TIME_LIMIT, "requeued")
