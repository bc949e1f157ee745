"""Helpers of the tests on a real SLURM: settings, states, and a working directory of its own for each test."""

import csv
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import environment, line
from tests.support.runs import results
from vae_cli.runs.layout import queue_name

SMALL = ["dataset=digits", "network.hidden=[16]", "model.latent_dim=2", "evaluate.samples=2", "logger=csv"]
SMALL += ["trainer.accelerator=cpu", "trainer.threads=1"]
HERE = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
"""Environment by which two nodes on one machine find each other."""
CLUSTER = ["cluster=slurm", "cluster.memory=1", "cluster.cpus=1"]


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def wait(condition: Callable[[], object], seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def status(folder: Path) -> dict:
    try:
        return json.loads((folder / "status.json").read_text())
    except OSError:
        return {"state": None, "epoch": 0, "requeued": 0, "job": None}


def numbers(folder: Path) -> list[dict[str, str]]:
    """The numbers of a run that do not depend on the clock."""
    with (folder / "metrics.csv").open() as file:
        rows = [{k: v for k, v in row.items() if "second" not in k} for row in csv.DictReader(file)]
    return [*rows, {k: v for k, v in results(folder).items() if k.startswith(("test/", "val/"))}]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The working directory of a test, with a name of its own, after which the jobs of its sweeps are named."""
    folder = tmp_path / f"work{os.getpid()}"
    folder.mkdir()
    return folder


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A sweep's command, which waits for its jobs."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL, "text": True}
    process = subprocess.Popen(line("vae-train", *arguments), cwd=folder, env=environment(**HERE), **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        slurm("scancel", f"--user={os.getuid()}", f"--name={queue_name(folder / 'all')}")


def soon(job: str) -> None:
    """SLURM lets a requeued job wait for two minutes; this one need not."""
    wait(lambda: "JobState=PENDING" in slurm("scontrol", "show", "job", job))
    slurm("scontrol", "update", f"jobid={job}", "starttime=now")
