"""The processes that train one model together: who they are, how they are started, what they tell each other.

SLURM starts them (srun, or a job of a sweep), or, on one machine, the first one starts the others.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.strategies import Strategy
from torch import Tensor, nn

from vae_cli.distributed import slurm
from vae_cli.distributed.cores import Arrival, claim, set_by_user
from vae_cli.distributed.rank import is_rank_zero, rank
from vae_cli.distributed.rendezvous import RendezvousStrategy
from vae_cli.distributed.terminal import say
from vae_cli.errors import UserError, counted

T = TypeVar("T")
THREADS = torch.get_num_threads()
"""Environment variables that torch reads at its import."""
LONGEST = timedelta(hours=2)
"""Timeout of the process group: rank 0 clusters codes for minutes while the others wait."""


@dataclass(frozen=True)
class ProcessLayout:
    """Processes on each node, and nodes."""

    devices: int
    nodes: int

    @classmethod
    def of(cls, devices: int | Sequence[int], nodes: int) -> ProcessLayout:
        """The layout that trainer.devices and trainer.num_nodes ask for; UserError where SLURM has started another."""
        layout = cls(devices if isinstance(devices, int) else len(devices), nodes)
        asked = f"trainer.devices={layout.devices} trainer.num_nodes={layout.nodes}"
        flags = f"--nodes={layout.nodes} --ntasks-per-node={layout.devices}"
        given = int(os.environ.get("SLURM_NNODES", 1))
        if slurm.tasks() > 1 and (slurm.tasks(), given) != (layout.count, layout.nodes):
            started = f"SLURM has started {counted(slurm.tasks(), 'task')} on {counted(given, 'node')}"
            raise UserError(f"{asked}: {started}; use srun {flags}, or change the settings", 2)
        if slurm.tasks() == 1 and layout.nodes > 1:
            raise UserError(f"{asked}: needs SLURM on several nodes; start it by srun {flags}, or cluster=slurm", 2)
        return layout

    @property
    def count(self) -> int:
        return self.devices * self.nodes

    @property
    def starts_others(self) -> bool:
        """True if this process starts the others: rank 0, unless SLURM has started all."""
        return self.count > 1 and slurm.tasks() == 1 and "LOCAL_RANK" not in os.environ

    def strategy(self, gpu: bool, partial: bool) -> tuple[Strategy | str, ClusterEnvironment]:
        """Lightning's strategy; `partial` if some parameters get no gradient at some batches."""
        if self.count == 1:
            return "auto", LightningEnvironment()
        os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(self.devices))  # Lightning insists on it
        environment = SLURMEnvironment(auto_requeue=False) if slurm.tasks() > 1 else LightningEnvironment()
        backend = "nccl" if gpu else "gloo"
        strategy = RendezvousStrategy(
            process_group_backend=backend,
            timeout=LONGEST,
            find_unused_parameters=partial,
            broadcast_buffers=False,  # at each batch, also of validation, of which not every process has as many
        )
        return strategy, environment

    @contextmanager
    def complete(self, folder: Path, resumes: bool) -> Iterator[None]:
        """Run the other processes of this machine, unless SLURM has started them."""
        if not self.starts_others:
            yield
            return
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        own = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        # -P: a random.py in the working directory is not Python's own
        line = [sys.executable, "-P", "-m", "vae_cli.commands.worker", str(folder), *(["resume"] * resumes)]
        others = [
            subprocess.Popen(line, env=os.environ | place | own | {"LOCAL_RANK": str(n)}, stdout=subprocess.DEVNULL)
            for n in range(1, self.devices)
        ]
        os.environ.update(place | {"LOCAL_RANK": "0"})
        try:
            yield
        finally:
            for name in (*place, "LOCAL_RANK"):
                del os.environ[name]
            if dist.is_initialized():
                dist.destroy_process_group()  # the next run of a sweep has processes of its own
            for other in others:
                _end(other)


def use_threads(
    layout: ProcessLayout, *, asked: int | None, gpu: bool, arrival: Arrival | None, recorded: int | None = None
) -> None:
    """Set the CPU threads of this process, and tell the other runs on the machine of them.

    Args:
        layout: processes, which get equal shares.
        asked: threads that the user has set.
        gpu: a run on a GPU uses all threads of torch, as a job of SLURM and a run with OMP_NUM_THREADS do.
        arrival: any other run uses the cores that were free on its arrival.
        recorded: threads of the run that is resumed; another number changes sums in their last bits.
    """
    most = set_by_user() or THREADS
    given = asked or (recorded and min(recorded, most))
    threads = given or most
    if not (given or gpu or slurm.job() or set_by_user() or arrival is None):
        threads = arrival.choose(THREADS)
        if threads < THREADS and is_rank_zero():
            say(f"threads: {threads} of {THREADS}, the other cores are in use; trainer.threads sets another number")
    if layout.starts_others and not given:
        threads = max(1, threads // layout.devices)
    torch.set_num_threads(threads)
    claim(1 if gpu else threads)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process that has no work left, then kill it."""
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def world_size() -> int:
    """World size of the process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def all_gather_object(own: T) -> list[T]:
    """The value of each rank, in the order of ranks."""
    if world_size() == 1:
        return [own]
    parts: list[Any] = [None] * world_size()
    dist.all_gather_object(parts, own)
    return parts


def all_reduce_sum(own: Tensor) -> Tensor:
    """Sum of a value over all ranks."""
    if world_size() > 1:
        own = own.clone()
        dist.all_reduce(own)
    return own


def all_reduce_max(*own: float, device: torch.device) -> list[float]:
    """Maximum of each number over processes."""
    if world_size() == 1:
        return list(own)
    numbers = torch.tensor(own, device=device)
    dist.all_reduce(numbers, dist.ReduceOp.MAX)
    return numbers.tolist()


def broadcast_module(module: nn.Module) -> None:
    """Copy the state of the module from rank 0 to all ranks."""
    if world_size() > 1:
        states = [module.state_dict() if rank() == 0 else None]
        dist.broadcast_object_list(states)
        assert states[0] is not None
        module.load_state_dict(states[0])
