"""The jobs of a sweep in threads of one process, one thread at a time, so that they can take their steps together."""

from __future__ import annotations

import ctypes
import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from signal import Signals
from typing import Any

import numpy as np
import psutil
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, setup_globals
from omegaconf import DictConfig

from vae_cli.commands.job import task
from vae_cli.config.compose import session
from vae_cli.distributed.cores import flush_denormals
from vae_cli.distributed.machine import share_freed_memory
from vae_cli.distributed.signals import STOPS, Deferral, lent
from vae_cli.distributed.terminal import label
from vae_cli.sweeps.hydra_job import context_of, run_job
from vae_cli.sweeps.stacks import Stacks
from vae_cli.sweeps.workers import Share
from vae_cli.training.together import Conductor, Seat, seat

PAUSE = 0.2
"""Seconds between two looks at a signal while a job works."""
RESERVE = 3
"""Times the memory that the start of a job takes, which stays free beyond as much for each job that has started."""


@dataclass(frozen=True)
class Surroundings:
    """State of the process that a job takes for its own: random states, Hydra's configuration, handlers of its log."""

    torch: torch.Tensor
    cuda: list[torch.Tensor]
    numpy: Any
    python: Any
    hydra: Any
    handlers: list[logging.Handler]
    known: list[Any]

    @classmethod
    def now(cls) -> Surroundings:
        """The state as the present thread has left it."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        noise = torch.get_rng_state(), cuda, np.random.get_state(), random.getstate()
        return cls(*noise, HydraConfig.instance().cfg, list(logging.getLogger().handlers), list(_known()))

    def restore(self) -> None:
        """Bring this state back."""
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)
        np.random.set_state(self.numpy)
        random.setstate(self.python)
        HydraConfig.instance().cfg = self.hydra
        logging.getLogger().handlers[:] = self.handlers
        _known()[:] = self.known


def _known() -> list[Any]:
    """The handlers that a new configuration of logging closes."""
    return getattr(logging, "_handlerList")  # noqa: B009 (private)


class JobThread:
    """Some work in a thread, which goes on while `resume` waits, until it pauses or ends."""

    def __init__(self, work: Callable[[], Any], conductor: Conductor) -> None:
        self.work, self.conductor, self.seat = work, conductor, Seat(conductor, self._pause)
        self.own, self.others = threading.Semaphore(0), threading.Semaphore(0)
        self.ended, self.value = False, None
        self.error: BaseException | None = None
        self.surroundings: Surroundings | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def resume(self, signals: Deferral) -> None:
        """Let the work go on, in its own surroundings; a signal stops it at once where no training would save it."""
        outside, stopped = Surroundings.now(), False
        if self.surroundings is None:
            _known().clear()
            self.thread.start()
        else:
            self.surroundings.restore()
            self.own.release()
        while not self.others.acquire(timeout=PAUSE):
            if signals.asked and not stopped and not self.conductor.trains(self.seat):
                stopped = True
                self._raise(STOPS[Signals(signals.asked)].error)
        self.surroundings = Surroundings.now()
        outside.restore()

    def _raise(self, error: type[BaseException]) -> None:
        """Raise an exception in the thread, as a signal does in the main one."""
        thread = ctypes.c_ulong(self.thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(error))

    def _run(self) -> None:
        seat.set(self.seat)
        try:
            self.value = self.work()
        except BaseException as error:
            self.error = error
        finally:
            self.ended = True
            self.others.release()

    def _pause(self) -> None:
        self.others.release()
        self.own.acquire()


def run_together(
    works: Sequence[Callable[[], Any]], conductor: Conductor, *, processes: int = 1, signals: Deferral | None = None
) -> list[Any]:
    """The values of these works, whose training steps the conductor takes, as many works at a time as fit in memory.

    A signal lets each training save and stop, as it does one that is alone; its exception is then raised here.

    Args:
        works: functions that each train a model
        conductor: of this process
        processes: number of processes that do such works at the same time
        signals: keeps the signal that stops the works, if it is not one to this process alone
    """
    waiting, jobs = deque(works), list[JobThread]()
    with lent():
        signals = signals or Deferral()
        signals.begin()
        while waiting and not (signals.asked or any(job.error for job in jobs)):
            jobs += _run_some(waiting, conductor, signals, processes)
        for job in jobs:
            if job.error is not None:
                raise job.error
        if waiting:
            signals.stop()
    return [job.value for job in jobs]


def train_share(share: Share, signals: Deferral, stacks: Stacks) -> list[float]:
    """Train the jobs of a worker, and note their stacks; the scores. Each line of a job begins with its number."""
    torch.set_num_threads(share.threads)
    setup_globals()
    flush_denormals()
    share_freed_memory()
    conductor, works = Conductor(), [partial(_run, job, share) for job in share.jobs]
    try:
        with session():
            ends = run_together(works, conductor, processes=share.processes, signals=signals)
    finally:
        stacks.add(Stacks(conductor.together, conductor.alone))
    return [float(end.return_value) for end in ends]


def _run(job: DictConfig, share: Share) -> JobReturn:
    if share.processes > 1:
        label.set(f"{job.hydra.job.num + 1:>{len(str(share.of))}}  ")
    return run_job(task, job, context_of(job))


def _run_some(
    waiting: deque[Callable[[], Any]], conductor: Conductor, signals: Deferral, processes: int
) -> list[JobThread]:
    """Run the next works that fit in memory, beside those of the other processes, to their ends."""
    jobs, growth = list[JobThread](), 0
    while waiting and not signals.asked and _free_memory() >= processes * (RESERVE + len(jobs)) * growth:
        taken = _taken_memory()
        jobs.append(JobThread(waiting.popleft(), conductor))
        jobs[-1].resume(signals)
        growth = max(growth, _taken_memory() - taken)
    while alive := [job for job in jobs if not job.ended]:
        conductor.advance(signals.asked)
        paused = [member.seat for member in conductor.waiting]
        for job in alive:
            if job.seat not in paused:
                job.resume(signals)
    return jobs


def _free_memory() -> int:
    """Bytes that are free where models train."""
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else psutil.virtual_memory().available


def _taken_memory() -> int:
    """Bytes that this process has taken there, up to a constant; on a GPU no other process is expected to take any."""
    return -_free_memory() if torch.cuda.is_available() else psutil.Process().memory_info().rss
