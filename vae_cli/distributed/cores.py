"""The cores of this machine, shared among the runs on it.

A run uses the cores that are free of other programs and other runs; runs that start together get equal shares. Idle
threads of OpenMP spin, so that two runs with all threads each lose most of their speed.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil
from filelock import FileLock
from platformdirs import user_cache_path

SPINS = 30_000
"""Turns that an idle thread of OpenMP waits before it sleeps; chosen by measurement (`make bench`)."""
SPIN_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
WINDOW = 0.5
"""Minimum time for which a run watches the machine, seconds."""

Claims = dict[int, int]
"""Threads of each run by its process; 0 until the run has chosen."""


def limit_spinning() -> None:
    """Let idle threads of OpenMP sleep soon, unless the user has set how they wait; before torch is imported."""
    if not any(name in os.environ for name in SPIN_VARIABLES):
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)


def flush_denormals() -> None:
    """Let this thread, and those that it starts, take numbers below 1e-38 for zero.

    Moments of Adam whose gradients have become zero sink that low, where a processor is slower.
    """
    import torch

    torch.set_flush_denormal(True)


def set_by_user() -> int | None:
    """The first number of OMP_NUM_THREADS, if it is set to one."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else None


def usable() -> int:
    """Cores that this process may use, by its affinity and by the limits of its container."""
    from joblib import cpu_count

    return int(cpu_count())


def claim(threads: int) -> None:
    """Record the threads of this run for the other runs."""
    with _claims() as claims:
        claims[os.getpid()] = threads


def release() -> None:
    """Remove the record of this run."""
    with _claims() as claims:
        claims.pop(os.getpid(), None)


@dataclass
class Arrival:
    """The machine as a run finds it: `idle` CPU seconds of its cores, CPU seconds `used` by each run, at a `time`.

    threads: those that the run has chosen
    """

    time: float
    idle: float
    used: dict[int, float]
    threads: int | None = None

    @classmethod
    def now(cls) -> Arrival:
        """Measure the machine, and record that this run is about to choose its threads."""
        with _claims() as claims:
            claims[os.getpid()] = 0
            return cls._of(claims)

    @classmethod
    def _of(cls, claims: Claims) -> Arrival:
        return cls(time.monotonic(), _idle(), {process: _used(process) for process in claims})

    def choose(self, most: int) -> int:
        """Threads for this run, 1 to `most`: an equal share of the free cores with the runs that have not chosen.

        A second call keeps the number.
        """
        if self.threads is None:
            time.sleep(max(0.0, self.time + WINDOW - time.monotonic()))
            with _claims() as claims:
                self.threads = max(1, min(most, self._share(claims)))
                claims[os.getpid()] = self.threads
        return min(most, self.threads)

    def _share(self, claims: Claims) -> int:
        now = self._of(claims)
        used_by_runs = sum(used - self.used.get(process, 0.0) for process, used in now.used.items())
        left_by_programs = round((now.idle - self.idle + used_by_runs) / (now.time - self.time))
        others = [threads for process, threads in claims.items() if process != os.getpid()]
        free = min(usable(), left_by_programs) - sum(others)
        return free // (1 + others.count(0))


@cache
def arrival_of_sweep() -> Arrival:
    """The arrival of the first job of a sweep in this process: the others take as many threads, without a wait."""
    return Arrival.now()


@dataclass(frozen=True)
class _Entry:
    """A claim in the file; the start time distinguishes its process from a later one with its number."""

    began: float
    threads: int
    cores: tuple[int, ...]


@contextmanager
def _claims() -> Iterator[Claims]:
    """The claims of live runs on the cores of this process, to read and to change; empty if the file is unusable."""
    file, own = user_cache_path("vae-cli") / f"cores-{platform.node()}.json", _cores()
    near: Claims = {}
    with ExitStack() as stack:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(file.with_suffix(".lock"), timeout=5))
        except OSError:
            yield near
            return
        alive = {process: entry for process, entry in _read(file).items() if _began(process) == entry.began}
        near |= {process: entry.threads for process, entry in alive.items() if own & set(entry.cores)}
        apart = {process: entry for process, entry in alive.items() if process not in near}
        yield near
        for process, threads in near.items():
            cores = alive[process].cores if process in alive else tuple(sorted(own))
            if began := _began(process):
                apart[process] = _Entry(began, threads, cores)
        with suppress(OSError):
            kept = {str(process): [entry.began, entry.threads, entry.cores] for process, entry in apart.items()}
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps(kept) + "\n", encoding="utf-8")
            partial.replace(file)


def _read(file: Path) -> dict[int, _Entry]:
    """The claims in the file, by process; empty if it is missing or damaged."""
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
        return {
            int(process): _Entry(float(began), int(threads), tuple(map(int, cores)))
            for process, (began, threads, cores) in written.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _began(process: int) -> float | None:
    """Start time of a process; None after its end."""
    try:
        return psutil.Process(process).create_time()
    except psutil.Error:
        return None


def _used(process: int) -> float:
    """CPU seconds of a process."""
    try:
        times = psutil.Process(process).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def _cores() -> set[int]:
    """The cores that this process may run on."""
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):
        return set(process.cpu_affinity() or [])
    return set(range(psutil.cpu_count() or 1))


def _idle() -> float:
    """Idle CPU seconds of the cores that this process may run on."""
    times, own = psutil.cpu_times(percpu=True), _cores()
    return sum(core.idle + getattr(core, "iowait", 0.0) for number, core in enumerate(times) if number in own)
