"""Processes that cannot meet: a time limit, one line, and signals that work meanwhile."""

import os
import signal
import threading
import time
from datetime import timedelta

import pytest
import torch.distributed as dist
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from vae_cli.distributed import signals
from vae_cli.distributed.rendezvous import meet, tried
from vae_cli.errors import UserError


def alone() -> None:
    """Wait for a rank 0 that is not there."""
    dist.TCPStore("127.0.0.1", 1, 2, is_master=False, timeout=timedelta(seconds=30))


def test_a_time_limit() -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=r"do not meet \(1 s have passed\): here; set MASTER_ADDR"):
        meet(alone, "here", limit=1)
    assert time.monotonic() - began < 5


def test_an_error_is_the_reason() -> None:
    def refused() -> None:
        raise RuntimeError("no such interface\nat ...")

    with pytest.raises(UserError, match=r"do not meet \(no such interface\): here"):
        meet(refused, "here", limit=20)


def test_a_signal_interrupts_the_wait() -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    began, earlier = time.monotonic(), signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with signals.lent():
            signals.listen()
            timer.start()
            with pytest.raises(signals.Terminated):
                meet(alone, "here", limit=20)
    finally:
        signal.signal(signal.SIGTERM, earlier)
    assert time.monotonic() - began < 5


def test_the_place_names_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "nowhere.invalid")
    monkeypatch.setenv("MASTER_PORT", "12345")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    monkeypatch.delenv("NCCL_SOCKET_IFNAME", raising=False)
    assert tried(LightningEnvironment()) == (
        "MASTER_ADDR=nowhere.invalid (has no address here), MASTER_PORT=12345, GLOO_SOCKET_IFNAME=eth7, "
        "NCCL_SOCKET_IFNAME=unset"
    )
