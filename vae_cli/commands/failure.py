"""The guard around a command: every failure becomes a line on stderr, a status and an exit code."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EDQUOT, ENOSPC
from pathlib import Path
from signal import Signals
from typing import TypeVar

from vae_cli.distributed import signals
from vae_cli.distributed.signals import STOPS
from vae_cli.errors import FAILED, UserError, causes, disk_full, loaded_class, out_of_memory
from vae_cli.runs.layout import display

T = TypeVar("T")

atexit.register(gc.freeze)  # Python ends with several passes over all objects, which take seconds after torch


@dataclass(frozen=True)
class Failure:
    """The reason why a command did not end well, its exit code, and the status of the run; `error` is its cause."""

    message: str
    exit_code: int
    status: str = "failed"
    error: BaseException | None = field(default=None, compare=False)

    @property
    def is_stop(self) -> bool:
        """True if a signal stopped the run, so that it can be resumed."""
        return self.status in ("interrupted", "requeued")


def attempt(work: Callable[[], T], log: Path | None = None) -> T | Failure:
    """The value of `work`, or the Failure that stopped it; a traceback goes to the log file, if there is one."""
    before = signals.raised()
    try:
        return work()
    except (KeyboardInterrupt, SystemExit) as error:
        return _stopped(error, None if before else signals.raised())
    except Exception as error:
        if signals.raised() and not before:  # a library has turned the signal into an error, or failed at the stop
            return _stopped(error, signals.raised())
        if isinstance(cause := _cause(error), UserError):
            return Failure(" ".join(str(cause).split()), cause.exit_code, error=cause)
        if log:
            logging.getLogger("vae_cli").exception("failed")
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exc()
        return Failure(_describe(cause, log), FAILED, error=error)


def report(command: str, failure: Failure) -> None:
    """Print the one line on stderr."""
    sys.stdout.flush()
    print(f"{command}: error: {failure.message}", file=sys.stderr, flush=True)


def require(command: str, result: T | Failure, least: int = FAILED) -> T:
    """The value of an `attempt`; a failure is reported and ends the process, with at least this exit code."""
    if isinstance(result, Failure):
        report(command, result)
        sys.exit(max(result.exit_code, least))
    return result


def _stopped(error: BaseException, number: int | None) -> Failure:
    """The failure by a signal, if any; Lightning turns Ctrl-C into exit(1), whose context is KeyboardInterrupt."""
    kinds = (STOPS[Signals(number)].error,) if number else tuple(map(type, causes(error)))
    for stop in STOPS.values():
        if stop.caused(kinds):
            return Failure(stop.words, stop.exit_code, stop.status, error)
    code = getattr(error, "code", FAILED)
    return Failure(f"stopped with exit code {code}", code if isinstance(code, int) else FAILED, error=error)


def _cause(error: BaseException) -> BaseException:
    """The cause of an error: hydra wraps the error of a constructor, and torch wraps that of a full disk."""
    wrapper = loaded_class("hydra.errors", "InstantiationException")
    cause = next((link for link in causes(error) if not isinstance(link, wrapper)), error)
    full = disk_full(error)
    return full if full and not isinstance(cause, UserError) else cause


def _describe(error: BaseException, log: Path | None) -> str:
    reason = " ".join(str(error).split())[:300]
    place = f"; traceback in {display(log)}" if log else "; HYDRA_FULL_ERROR=1 shows the traceback"
    if isinstance(error, OSError) and error.strerror:
        if error.filename:
            return f"{error.strerror}: {error.filename}"
        full = error.errno in (ENOSPC, EDQUOT)
        return error.strerror + ("; free some, or set VAE_OUTPUT_DIR to a folder on another disk" if full else place)
    if out_of_memory(error):
        return f"out of memory; lower dataset.batch_size, evaluate.batch_size or evaluate.memory_mb{place}"
    if isinstance(error, loaded_class("pytorch_lightning.utilities.exceptions", "MisconfigurationException")):
        remedy = "use trainer.accelerator=auto trainer.devices=1"
        return f"Lightning refuses the trainer's settings: {reason}; {remedy}{place}"
    return f"{type(error).__name__}{': ' if reason else ''}{reason}{place}"
