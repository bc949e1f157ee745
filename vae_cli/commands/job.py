"""One training job under hydra, and the guard that turns every way to fail into a line, a status and an exit code."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_cli.config import resume
from vae_cli.config.check import check
from vae_cli.config.compose import Composer
from vae_cli.config.schema import plain
from vae_cli.config.search import WORST, is_search, same_data, score
from vae_cli.config.sources import Sources
from vae_cli.distributed import signals, slurm
from vae_cli.distributed.cores import Arrival
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.distributed.signals import HungUp, Terminated, TimeLimit, ignore, listen
from vae_cli.distributed.terminal import outlive
from vae_cli.errors import UserError, causes, disk_full, out_of_memory
from vae_cli.runs.atomic_files import write_text_atomically
from vae_cli.runs.continuation import fingerprint, is_done, read_results, remaining
from vae_cli.runs.layout import CONFIG, LAST, LOCK, RESULTS, STARTED, display
from vae_cli.runs.lock import held
from vae_cli.runs.saved_config import read_config
from vae_cli.runs.status import Status
from vae_cli.training.data_location import load_again

T = TypeVar("T")
LOG = "vae-train.log"
STOPPED = ("interrupted", "requeued")
REFUSED = 2


@dataclass(frozen=True)
class Failure:
    """Why a command did not end well."""

    message: str
    exit_code: int
    status: str = "failed"


def attempt(work: Callable[[], T], log: Path | None = None) -> T | Failure:
    """What `work` returns, or the Failure that stopped it; a traceback goes to the log file, if anywhere."""
    before = signals.raised()
    try:
        return work()
    except (KeyboardInterrupt, SystemExit) as error:
        return _stopped(error, None if before else signals.raised())
    except Exception as error:
        if signals.raised() and not before:  # a library has made an error of it, or met one while it was stopped
            return _stopped(error, signals.raised())
        if isinstance(cause := _cause(error), UserError):
            return Failure(" ".join(str(cause).split()), cause.exit_code)
        if log:
            logging.getLogger("vae_cli").exception("failed")
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exc()
        return Failure(_describe(cause, log), 1)


def report(command: str, failure: Failure) -> None:
    """The one line on stderr."""
    sys.stdout.flush()
    print(f"{command}: error: {failure.message}", file=sys.stderr, flush=True)


def task(config: DictConfig) -> float:
    """Train in the run's folder; returns what a search maximises, -inf for a run that failed.

    Alone it exits with its code; in a sweep it returns, so that the next job starts, and skips what is done already.
    """
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir).absolute()
    overrides = list(settings.overrides.task)
    sweeping = settings.mode == RunMode.MULTIRUN
    logging.raiseExceptions = False  # a log on a full disk must not fill the terminal with tracebacks

    def work() -> Any:
        effective = remaining(config, folder) if sweeping else _effective(config, folder, overrides)
        if effective is None:
            if not is_rank_zero():
                return read_results(folder)
            print(f"{folder.name}: done already", flush=True)
            return read_results(folder)
        if is_rank_zero() and not (folder / STARTED).exists():
            write_text_atomically(folder / STARTED, OmegaConf.to_yaml(OmegaConf.create(overrides)))
        from vae_cli.training.loading import load_data

        arrival = Arrival.now()
        parsed = check(effective)
        data = load_again(parsed) if parsed.resume else load_data(parsed)
        if sweeping and is_search(settings):
            same_data(folder, data.sha256)
        from vae_cli.commands.train import train  # after the data, for it takes seconds, and faults of data should not

        return train(parsed, data, folder, arrival)

    def alone() -> Any:
        with held(folder):
            earlier = _stamp(folder)
            result = attempt(work, folder / LOG)
            started = _stamp(folder) != earlier
            if isinstance(result, Failure) and result.exit_code == REFUSED and not (started or sweeping):
                leave(folder)
                return result
            began = earlier is None or started  # else an earlier run's results stay
            if isinstance(result, Failure) and result.status == "requeued":
                result = _requeued(folder, config)
            if isinstance(result, Failure) and result.status != "requeued" and began:
                write_status(folder, result)
            return result

    outlive()
    listen()
    if not is_rank_zero():
        run_worker(work, folder)
        return WORST
    result = attempt(alone, folder / LOG)
    if not isinstance(result, Failure):
        return score(result)
    if result.exit_code != REFUSED and not folder.is_dir():
        result = Failure(f"{display(folder)}: the folder of the run has vanished while it trained", 1)
    elif result.status in STOPPED and not sweeping:
        result = replace(result, message=f"{result.message}; {_way_on(folder)}")
    report("vae-train", result)
    if not sweeping:
        sys.exit(result.exit_code)
    if result.status in STOPPED:  # ends the sweep, too
        raise KeyboardInterrupt if result.exit_code == 130 else SystemExit(result.exit_code)
    return WORST


def leave(folder: Path) -> None:
    """Remove what a run that was refused has left in a folder of its own, where only its name and its lock are."""
    if {path.name for path in folder.iterdir()} <= {STARTED, LOCK}:
        (folder / STARTED).unlink(missing_ok=True)
        (folder / LOCK).unlink(missing_ok=True)
        if folder != Path.cwd():
            folder.rmdir()


def run_worker(work: Callable[[], Any], folder: Path) -> None:
    """Take part in a run of several processes, as one that neither writes nor speaks: the first one does."""
    result = attempt(work, folder / LOG)
    if not isinstance(result, Failure):
        return
    if result.status not in STOPPED:  # else srun would end the first one, which saves
        sys.exit(result.exit_code)
    ignore()


def _stamp(folder: Path) -> int | None:
    """When a run in this folder last began."""
    return (folder / CONFIG).stat().st_mtime_ns if (folder / CONFIG).exists() else None


def _effective(config: DictConfig, folder: Path, overrides: list[str]) -> DictConfig | None:
    """The configuration of this job: as composed, or, going on with a run, that run's own; None if that is done."""
    started = all((folder / name).is_file() for name in (CONFIG, LAST))
    if config.resume is None and not (config.ckpt == "last" and started):
        if config.ckpt is None and is_rank_zero():
            resume.refuse_used(folder)  # another process may have finished here since that was looked at first
        return config
    places = [source.path for source in HydraConfig.get().runtime.config_sources if source.schema == "file"]
    chosen = resume.resumed(folder, Composer("train", Sources(tuple(map(Path, places)))), overrides)
    chosen = OmegaConf.create(plain(chosen))
    if is_done(folder) and fingerprint(chosen) == fingerprint(read_config(folder)):
        return None
    from vae_cli.runs import checkpoints

    checkpoints.newest(folder)  # damaged ones are refused before anything is written
    return chosen


def _way_on(folder: Path) -> str:
    """How to go on with a run that was interrupted."""
    if not (folder / LAST).is_file():
        return "nothing was saved yet"
    command = shlex.join(["vae-train", f"resume={display(folder)}"])
    return f"saved in {display(folder / LAST)}; go on with: {command}"


def _requeued(folder: Path, config: DictConfig) -> Failure:
    """A run whose time limit is near goes on from the queue, unless that has been so too often, or SLURM refuses."""
    limit = config.cluster.requeue
    count = (Status.read(folder) or Status("running")).requeued + 1
    if count > limit:
        return Failure(f"time limit, after it was requeued {limit} times (cluster.requeue)", 143, "interrupted")
    earlier = Status.read(folder)
    Status("requeued", slurm.job(), count).write(folder)
    ignore()  # SLURM's own, which follow: all is saved
    if not slurm.requeue():
        if earlier:
            earlier.write(folder)
        return Failure("time limit; SLURM does not take the job back into its queue", 143, "interrupted")
    return Failure(f"time limit; back in the queue for the {count}. time of {limit}", 143, "requeued")


def write_status(folder: Path, failure: Failure) -> None:
    """How the run ended, beside whatever numbers it had already written; whole or not at all."""
    try:
        results = read_results(folder) | {"status": failure.status, "error": failure.message}
        write_text_atomically(folder / RESULTS, json.dumps(results, indent=2) + "\n")
    except OSError:
        return  # a full disk, say: the line on stderr has told


def _stopped(error: BaseException, number: int | None) -> Failure:
    """By this signal, if any; Lightning turns Ctrl-C into exit(1), with what it was as its context."""
    kinds = (signals.STOPS[number],) if number else tuple(map(type, causes(error)))
    if any(kind is Terminated or kind.__name__ == "SIGTERMException" for kind in kinds):
        return Failure("terminated", 143, "interrupted")
    if HungUp in kinds:
        return Failure("the terminal was closed", 129, "interrupted")
    if TimeLimit in kinds:
        return Failure("the time limit is near", 143, "requeued")
    if KeyboardInterrupt in kinds:
        return Failure("interrupted", 130, "interrupted")
    code = getattr(error, "code", 1)
    return Failure(f"stopped with exit code {code}", code if isinstance(code, int) else 1)


def _cause(error: BaseException) -> BaseException:
    """What is behind it: hydra wraps whatever a constructor raises, and torch trips over a file cut short."""
    cause = next((link for link in causes(error) if type(link).__name__ != "InstantiationException"), error)
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
    if type(error).__name__ == "MisconfigurationException":
        remedy = "trainer.accelerator=auto trainer.devices=1 takes what is there"
        return f"Lightning refuses the trainer's settings: {reason}; {remedy}{place}"
    return f"{type(error).__name__}{': ' if reason else ''}{reason}{place}"
