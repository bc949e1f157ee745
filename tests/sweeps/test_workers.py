"""Jobs that train together in several processes: their numbers, their terminal, and processes that are stopped."""

import fcntl
import json
import os
import re
import select
import signal
import struct
import termios
from pathlib import Path

import psutil
import pytest
import torch

from tests.support.commands import Forked, fork, forked
from tests.support.configs import unchecked
from tests.support.interruptions import appears, place
from tests.support.runs import results
from tests.support.together import FEW
from vae_cli.distributed.cores import usable
from vae_cli.runs import checkpoints
from vae_cli.runs.folder import RunFolder
from vae_cli.sweeps.stacks import kind_of

SWEEP = (
    "-m", *FEW, "logger=csv", "evaluate.samples=2", "figures=[]", "trainer.accelerator=cpu", "objective.beta=1,4",
    "seed=0,1",
)  # fmt: skip
TOGETHER = (*SWEEP, "hydra/launcher=together", "cluster.parallel=2", "hydra.sweep.dir=together")
LONG = (*TOGETHER, "trainer.max_epochs=60")

pytestmark = pytest.mark.skipif(usable() < 2, reason="one core has one process")


def jobs(work: Path, sweep: str = "together") -> list[Path]:
    return [work / sweep / f"objective.beta={beta},seed={seed}" for beta in (1, 4) for seed in (0, 1)]


def processes(work: Path) -> list[int]:
    """The process of each job."""
    statuses = [RunFolder(job).status() for job in jobs(work)]
    return [status.starts[-1].pid or 0 for status in statuses if status]


def states(work: Path) -> list[str]:
    return [row["status"] for row in json.loads((work / "together" / "sweep.json").read_text())]


def begun(work: Path) -> Forked:
    """The sweep in the middle of its training."""
    running = forked("vae-train", *LONG, folder=work)
    for job in jobs(work):
        appears(job / "metrics.csv")
    return running


def test_jobs_of_several_processes_and_jobs_alone(tmp_path: Path) -> None:
    work = place(tmp_path)
    done = fork("vae-train", *TOGETHER, folder=work)
    assert (done.code, done.err) == (0, "")
    first, *lines = done.out[: done.out.index("sweep in together")].splitlines()
    assert first == "sweep: 4 jobs in 2 processes, 1 thread each"
    assert all(re.match(r"[1-4](  |$)", line) for line in lines)
    assert done.out.splitlines()[-1] == "trained together: 4 jobs in stacks of 2"
    assert sorted(map(processes(work).count, processes(work))) == [2] * 4
    rows = json.loads((work / "together" / "sweep.json").read_text())
    assert [row["folder"] for row in rows] == [job.name for job in jobs(work)]

    assert fork("vae-train", *SWEEP, "hydra.sweep.dir=alone", folder=work).code == 0
    for one, other in zip(jobs(work, "alone"), jobs(work), strict=True):
        assert sorted(file.name for file in one.iterdir()) == sorted(file.name for file in other.iterdir())
        assert results(other)["test/elbo"] == pytest.approx(results(one)["test/elbo"], rel=1e-5)
        expected, found = (checkpoints.load(job / "checkpoints" / "last.ckpt")["state_dict"] for job in (one, other))
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_command_stops_its_processes(number: int, tmp_path: Path) -> None:
    work = place(tmp_path)
    done = begun(work).end(number, after=0)
    assert done.code == 128 + number
    word = "interrupted" if number == signal.SIGINT else "terminated"
    assert sorted(done.err.splitlines()) == [f"{job}  vae-train: error: {word}" for job in range(1, 5)]
    assert states(work) == ["interrupted"] * 4
    assert all((job / "checkpoints" / "last.ckpt").is_file() for job in jobs(work))
    done = fork("vae-train", *LONG, folder=work)
    assert (done.code, done.err) == (0, "") and done.out.count("resumes from its last checkpoint") == 4
    assert states(work) == ["done"] * 4


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_ends_leaves_the_others(number: int, tmp_path: Path) -> None:
    work = place(tmp_path)
    running = begun(work)
    first, *others = processes(work)
    ended = [1, *(job for job, process in enumerate(others, 2) if process == first)]
    os.kill(first, number)
    done = running.end()
    if number == signal.SIGKILL:
        assert done.code == 1
        line = f"vae-train: error: jobs {', '.join(map(str, ended))}: their process was killed, as happens where memory"
        assert done.err.startswith(line) and done.err.count("\n") == 1
    else:
        assert done.code == 143
        assert sorted(done.err.splitlines()) == [f"{job}  vae-train: error: terminated" for job in ended]
    left = "gone" if number == signal.SIGKILL else "interrupted"
    assert states(work) == [left if job in ended else "done" for job in range(1, 5)]
    done = fork("vae-train", *LONG, folder=work)
    assert (done.code, done.err, done.out.count("done already")) == (0, "", 2)
    assert states(work) == ["done"] * 4


@pytest.mark.slow
def test_the_processes_of_a_command_that_is_killed_save_and_end(tmp_path: Path) -> None:
    work = place(tmp_path)
    running = begun(work)
    pids = set(processes(work))
    assert running.end(signal.SIGKILL, after=0).code == -signal.SIGKILL
    psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=30)
    assert not any(map(psutil.pid_exists, pids))
    assert {RunFolder(job).state().name for job in jobs(work)} == {"interrupted"}
    done = fork("vae-train", *LONG, folder=work)
    assert (done.code, done.err) == (0, "") and states(work) == ["done"] * 4


@pytest.mark.slow
def test_the_jobs_of_several_processes_on_a_terminal(tmp_path: Path) -> None:
    """No bar, and no line longer than the terminal but those that hold a path."""
    work = place(tmp_path)
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    running = forked("vae-train", *TOGETHER, folder=work, TERMINAL=os.ttyname(theirs))
    shown = b""
    while running.process.is_alive() or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.2)[0]:
            shown += os.read(ours, 65536)
    assert running.end().code == 0
    text = shown.decode().replace("\r\n", "\n")
    lines = text[text.index("sweep: 4 jobs in") : text.index("sweep in together")].splitlines()
    assert not any("\r" in line or "\x1b[2K" in line for line in lines)
    assert [line for line in lines if len(line) > 80 and "together/" not in line] == []
    assert sum(bool(re.match(r"[1-4]  epoch [12]/2 ", line)) for line in lines) == 8


@pytest.mark.parametrize(
    ("line", "is_kind"),
    {
        "seed=1": False,
        "objective.beta=1": False,
        "optimizer.lr=0.1": False,
        "trainer.gradient_clip_val=1": False,
        "model.latent_dim=2": True,
        "objective.samples=2": True,
        "network.hidden=[8]": True,
        "dataset=digits": True,
        "annealing=linear": True,
    }.items(),
)
def test_jobs_of_one_kind_differ_in_seeds_and_real_numbers(line: str, is_kind: bool) -> None:
    assert kind_of(unchecked(line), [line]) == ((line,) if is_kind else ())
