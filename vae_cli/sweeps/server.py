"""The server from which worker processes are forked: it imports torch while the command composes its jobs.

It has few imports itself, because the command starts it before all else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from typing import Any

from vae_cli.distributed.cores import set_by_user
from vae_cli.distributed.signals import STOPS

FORKS = sys.platform == "linux"
"""False where forks are unsafe once libraries are in use; a worker then imports them by itself."""
CONTEXT: Any = multiprocessing.get_context("forkserver" if FORKS else "spawn")


def begin() -> None:
    """Start the server, where this process may use several cores."""
    if FORKS and len(os.sched_getaffinity(0)) > 1:
        CONTEXT.set_forkserver_preload(["vae_cli.sweeps.preloaded"])
        resource_tracker.ensure_running()  # which the server needs; its start lets signals pass again
        with blocked(), _one_thread():
            forkserver.ensure_running()


@contextmanager
def blocked() -> Iterator[None]:
    """Start a process that has no signals until it lets them pass: they would show a traceback in its imports."""
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Start a process whose libraries have one thread each; torch gets more where a worker has more."""
    if set_by_user() is not None:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
