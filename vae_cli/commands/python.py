"""`vae_cli.train`: a training in a user's own process, with the checks and the folder of `vae-train`."""

from __future__ import annotations

import gc
import logging
import os
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from typing import TYPE_CHECKING, NoReturn

from omegaconf import DictConfig

from vae_cli.commands.composed_run import run_composed
from vae_cli.commands.failure import Failure, attempt
from vae_cli.commands.job import Job, freeze, remedy
from vae_cli.config.preflight import prepare_training
from vae_cli.distributed import signals
from vae_cli.distributed.progress import task
from vae_cli.errors import ConfigError, UserError

if TYPE_CHECKING:
    from vae_cli.commands.run import Run


def train(overrides: Sequence[str] = ()) -> Run:
    """Train and evaluate a model as `vae-train` does; returns the finished run.

    Args:
        overrides: GROUP=OPTION and KEY=VALUE, as in ["dataset=digits", "objective.beta=4"]

    Raises:
        ConfigError: The configuration cannot run; the message is that of the command.
        UserError: The data or a file are at fault.
        KeyboardInterrupt: The training was stopped; its notes name the checkpoint to resume from.
    """
    if option := next((line for line in overrides if line.startswith("-")), None):
        raise ConfigError(f"{option}: an option of the command line; remove it: vae_cli.train runs one training")
    config = prepare_training(overrides).config
    if config is None:
        raise ConfigError("a sweep needs the command vae-train; remove sweep=... and hparams_search=...")
    with _restored():
        job, failure = run_composed(_attempted, config)
        if failure:
            _raise(failure, job)
        from vae_cli.commands.run import load

        return load(job.run.path)


def _attempted(config: DictConfig) -> tuple[Job, Failure | None]:
    """The job of a configuration after its training, and the Failure that stopped it, if any."""
    signals.listen()
    job = Job.of(config)
    result = attempt(job.train_alone, job.run.log_file)
    return job, result if isinstance(result, Failure) else None


def _raise(failure: Failure, job: Job) -> NoReturn:
    """Raise the error of a training; Lightning turns Ctrl-C into SystemExit, which would end a notebook."""
    error = failure.error or UserError(failure.message)
    if failure.exit_code == signals.INTERRUPTED and not isinstance(error, KeyboardInterrupt):
        error = KeyboardInterrupt(failure.message)
    if failure.is_stop:
        error.add_note(remedy(job.run))
    raise error


@contextmanager
def _restored() -> Iterator[None]:
    """Restore the state of the process that a training changes.

    That is its environment, garbage collector, random states, number of threads, treatment of denormal numbers,
    handlers of signals and logs, and filters of warnings.
    """
    with task("importing torch"):
        import numpy as np
        import torch

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    python, arrays, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()
    environment, frozen = dict(os.environ), gc.get_freeze_count()
    flushes = not torch.full((), 1e-38).mul(0.1)  # torch has no question for it
    devices = range(torch.cuda.device_count())
    with signals.lent(), warnings.catch_warnings(), torch.random.fork_rng(devices):
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(environment)
            if not frozen:
                gc.unfreeze()
                freeze.cache_clear()
            random.setstate(python)
            np.random.set_state(arrays)
            torch.set_num_threads(threads)
            torch.set_flush_denormal(flushes)
            logging.captureWarnings(False)
            for handler in set(root.handlers) - set(handlers):
                if isinstance(handler, MemoryHandler) and handler.target:
                    handler.target.close()
                handler.close()
            root.handlers[:], root.level = handlers, level
