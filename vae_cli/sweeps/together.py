"""The jobs of a sweep in threads of one process, one thread at a time, so that they can take their steps together."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig

from vae_cli.training.together import Conductor, Seat, seat


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
        self.work, self.seat, self.ended = work, Seat(conductor, self._pause), False
        self.own, self.others = threading.Semaphore(0), threading.Semaphore(0)
        self.value: Any = None
        self.error: BaseException | None = None
        self.surroundings: Surroundings | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def resume(self) -> None:
        """Let the work go on, in its own surroundings."""
        outside = Surroundings.now()
        if self.surroundings is None:
            _known().clear()
            self.thread.start()
        else:
            self.surroundings.restore()
            self.own.release()
        self.others.acquire()
        self.surroundings = Surroundings.now()
        outside.restore()

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


def run_together(works: Sequence[Callable[[], Any]], conductor: Conductor) -> list[Any]:
    """The values of these works, whose training steps the conductor takes."""
    jobs = [JobThread(work, conductor) for work in works]
    while alive := [job for job in jobs if not job.ended]:
        waiting = [member.seat for member in conductor.waiting]
        for job in alive:
            if job.seat not in waiting:
                job.resume()
        conductor.advance()
    for job in jobs:
        if job.error is not None:
            raise job.error
    return [job.value for job in jobs]
