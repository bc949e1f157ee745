"""The rendezvous of the processes that train together: it has a time limit, and signals interrupt it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from threading import Thread

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy

from vae_cli.distributed.rank import is_rank_zero
from vae_cli.distributed.terminal import say
from vae_cli.errors import UserError, first_line

LIMIT = 300.0
"""Seconds that all processes have to arrive, which import torch at different speeds."""
SILENT = 10.0
"""Seconds after which rank 0 says that it waits."""
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


class RendezvousStrategy(DDPStrategy):
    """Lightning's strategy, whose processes meet within a time limit."""

    def setup_distributed(self) -> None:
        assert self.cluster_environment is not None
        meet(super().setup_distributed, tried(self.cluster_environment), LIMIT)


def meet(connect: Callable[[], None], place: str, limit: float) -> None:
    """Call `connect`, which waits for all processes; UserError with the place where they meet if it fails or is late.

    torch waits outside of Python, which then handles no signals: therefore it waits in a thread.
    """
    faults: list[Exception] = []

    def work() -> None:
        try:
            connect()
        except Exception as error:
            faults.append(error)

    thread, began, silent = Thread(target=work, daemon=True), time.monotonic(), True
    thread.start()
    while thread.is_alive() and (waited := time.monotonic() - began) < limit:
        thread.join(0.1)
        if silent and waited > SILENT and is_rank_zero():
            silent = False
            say(f"waits for the other processes: {place}")
    if not (faults or thread.is_alive()):
        return
    reason = first_line(faults[0]) if faults else f"{limit:.0f} s have passed"
    remedy = "set MASTER_ADDR to an address of the first node, and the name of its network interface"
    raise UserError(f"the processes do not meet ({reason}): {place}; {remedy}")


def tried(environment: ClusterEnvironment) -> str:
    """Address, port and interfaces by which the processes try to meet."""
    address = environment.main_address
    try:
        known = f" ({socket.gethostbyname(address)})"
    except OSError:
        known = " (has no address here)"
    interfaces = (f"{name}={os.environ.get(name, 'unset')}" for name in INTERFACES)
    return ", ".join((f"MASTER_ADDR={address}{known}", f"MASTER_PORT={environment.main_port}", *interfaces))
