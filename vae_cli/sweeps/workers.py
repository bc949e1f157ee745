"""Worker processes of hydra/launcher=together: each trains a share of the jobs of a sweep.

A connection to the command brings a worker its share and the signals to the command, and takes the scores back.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

from omegaconf import DictConfig

from vae_cli.commands.failure import Failure, attempt, report
from vae_cli.distributed import signals
from vae_cli.distributed.signals import GRACE, STOPS, Deferral
from vae_cli.distributed.terminal import Labelled, outlive
from vae_cli.errors import FAILED, UserError
from vae_cli.runs.layout import display
from vae_cli.sweeps import server
from vae_cli.sweeps.stacks import Stacks

PAUSE = 0.2
"""Seconds between two looks at a signal while workers work."""


@dataclass(frozen=True)
class Share:
    """The jobs of a worker.

    Args:
        jobs: configurations with their hydra nodes
        of: number of jobs in the sweep
        threads: for the worker
        processes: number of workers
    """

    jobs: Sequence[DictConfig]
    of: int
    threads: int
    processes: int
    folder: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True)
class End:
    """The end of a share: the scores of its jobs, unless there was a failure."""

    scores: Sequence[float] = ()
    stacks: Stacks = field(default_factory=Stacks)
    failure: Failure | None = None


def on_gpu() -> bool:
    """True if this machine has a GPU that torch can use, by the answer of a worker."""
    worker = Worker(_tell_accelerator)
    try:
        return worker.connection.recv()
    except EOFError:
        return False
    finally:
        worker.process.join()


def run(shares: Sequence[Share]) -> list[End]:
    """Train the shares in as many workers; a first signal lets all save and stop, a second one stops them at once."""
    with signals.lent():
        asked = Deferral()
        asked.begin()
        workers = [Worker(_train) for _ in shares]
        for worker, share in zip(workers, shares, strict=True):
            worker.send(share)
        import vae_cli.report.estimate  # noqa: F401  # scipy, for the table of the sweep, while the workers work

        try:
            told = False
            while going := [worker for worker in workers if worker.end is None]:
                wait([sign for worker in going for sign in (worker.connection, worker.process.sentinel)], PAUSE)
                if asked.asked and not told:
                    told = True
                    for worker in going:
                        worker.send(asked.asked)
                for worker, share in zip(workers, shares, strict=True):
                    if worker in going:
                        worker.look()
                        _report(worker.end, share)
        finally:
            for worker in workers:
                worker.finish(asked.asked or signal.SIGTERM)
    return [worker.end for worker in workers if worker.end]


def _report(end: End | None, share: Share) -> None:
    """Print the failure of a share; a job that was stopped has printed its own."""
    if end and end.failure and not end.failure.is_stop:
        numbers = ", ".join(str(job.hydra.job.num + 1) for job in share.jobs)
        again = f"hydra.sweep.dir={display(Path(share.jobs[0].hydra.sweep.dir))} continues them"
        report("vae-train", Failure(f"jobs {numbers}: {end.failure.message}; {again}", FAILED))


class Worker:
    """A process that does some work with a connection to this one."""

    def __init__(self, work: Callable[[Connection], None]) -> None:
        self.end: End | None = None
        self.connection, other = server.CONTEXT.Pipe()
        self.process = server.CONTEXT.Process(target=work, args=(other,))
        try:
            with server.blocked():
                self.process.start()
        except (EOFError, ConnectionError) as error:
            problem = "hydra/launcher=together: the process from which others are forked has ended"
            raise UserError(f"{problem}; use cluster.parallel=1, which needs none") from error
        other.close()

    def send(self, message: object) -> None:
        """Send something, unless the process has ended."""
        with suppress(OSError):
            self.connection.send(message)

    def look(self) -> None:
        """Note the end, if there is one."""
        ended = not self.process.is_alive()  # before the look for its last words
        try:
            if self.connection.poll():
                self.end = self.connection.recv()
        except (EOFError, OSError):
            ended = True
        if ended and self.end is None:
            self.process.join()
            self.end = End(failure=Failure(_death(self.process.exitcode), FAILED))

    def finish(self, number: int) -> None:
        """Wait until the process has ended; one that still works gets a signal to stop at once."""
        if self.end is None:
            self.send(number)
        self.process.join(GRACE)
        self.process.kill()
        self.process.join()


def _death(code: int | None) -> str:
    """The reason why a process has ended without an answer."""
    if code == -signal.SIGKILL:
        return "their process was killed, as happens where memory runs out"
    how = f"by {signal.Signals(-code).name}" if code and code < 0 else f"with exit code {code}"
    return f"their process has ended {how}"


def _tell_accelerator(connection: Connection) -> None:
    import torch

    with suppress(OSError):  # the command has ended
        connection.send(torch.accelerator.is_available())


def _train(connection: Connection) -> None:
    """Train a share that the command sends; the answer is its end."""
    try:
        share: Share = connection.recv()
    except EOFError:
        return
    os.chdir(share.folder)
    os.environ["OMP_NUM_THREADS"] = str(share.threads)
    outlive()
    if share.processes > 1:
        os.environ["TERM"] = "dumb"  # bars of several processes would overwrite each other
        sys.stdout, sys.stderr = Labelled(sys.stdout), Labelled(sys.stderr)
    signals.listen()
    asked = Deferral(notice=b"")
    threading.Thread(target=_obey, args=(connection, asked), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    stacks = Stacks()
    scores = attempt(lambda: _scores(share, asked, stacks))
    end = End((), stacks, _plain(scores)) if isinstance(scores, Failure) else End(scores, stacks)
    with suppress(OSError):  # the command was killed
        connection.send(end)


def _plain(failure: Failure) -> Failure:
    """The failure without its error, which need not be picklable; a job that was stopped has raised SystemExit."""
    stopped = isinstance(failure.error, KeyboardInterrupt | SystemExit)
    return replace(failure, error=None, status="interrupted" if stopped else failure.status)


def _scores(share: Share, asked: Deferral, stacks: Stacks) -> list[float]:
    from vae_cli.sweeps.together import train_share

    return train_share(share, asked, stacks)


def _obey(connection: Connection, asked: Deferral) -> None:
    """Pass the signals of the command on; the first one may have reached this process, too. Its end counts as one."""
    first = True
    while True:
        try:
            number = connection.recv()
        except (EOFError, OSError):
            asked.asked = asked.asked or signal.SIGTERM
            return
        if first:
            asked.asked = asked.asked or number
        else:
            os.kill(os.getpid(), number)
        first = False
