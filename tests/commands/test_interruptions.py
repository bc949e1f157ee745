"""Runs and sweeps that are stopped at any moment: the command repeated ends as if nothing had happened."""

import os
import pty
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.commands import Forked, fork, forked
from tests.support.interruptions import (
    HERE,
    OFTEN,
    SMALL,
    VADE,
    Whole,
    appears,
    assert_same,
    place,
)  # fmt: skip
from tests.support.runs import results
from tests.support.wandb_files import of_kind, records
from vae_cli.runs import checkpoints
from vae_cli.runs.folder import RunFolder

SHORT = (*SMALL, "trainer.max_epochs=1")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run with figures that nothing has interrupted."""
    work = tmp_path_factory.mktemp("drawn") / "work"
    work.mkdir()
    assert fork("vae-train", *SHORT, *HERE, folder=work, FIGURES="drawn").code == 0
    return work / "run"


@pytest.mark.parametrize("drawing", [False, True], ids=["training", "drawing"])
def test_a_signal(drawing: bool, whole: Whole, drawn: Path, tmp_path: Path) -> None:
    """It comes while the model is trained, or clustered, or at the end, while figures are drawn."""
    work, expected = place(tmp_path), drawn if drawing else whole.folder
    line, when, figures = (SHORT, "figures", {"FIGURES": "drawn"}) if drawing else (VADE, "metrics.csv", {})
    number, code, word = (signal.SIGINT, 130, "interrupted") if drawing else (signal.SIGTERM, 143, "terminated")
    running = forked("vae-train", *line, *HERE, folder=work, **figures)
    appears(work / "run" / when)
    done = running.end(number, after=0)
    command = "vae-train resume=run"
    message = f"{word}; saved in run/checkpoints/last.ckpt; continue with: {command}"
    assert (done.code, done.err) == (code, f"vae-train: error: {message}\n")
    assert (results(work / "run")["status"], results(work / "run")["error"]) == ("interrupted", word)
    for _ in range(2):
        done = fork(*command.split(), folder=work, **figures)
        assert (done.code, done.err) == (0, "")
        assert_same(work / "run", expected, figures=drawing)
    assert done.out.startswith("run: done already; ")


def test_a_signal_within_an_epoch_is_obeyed_after_the_batch(tmp_path: Path) -> None:
    work = place(tmp_path)
    line = (*SMALL, "dataset.batch_size=2", "trainer.max_epochs=1", OFTEN, *HERE)
    running = forked("vae-train", *line, folder=work)
    appears(work / "run" / "checkpoints" / "last.ckpt")
    done = running.end(signal.SIGINT, after=0)
    assert done.code == 130 and "stopping once this batch is done and saved" in done.out
    steps = checkpoints.load(work / "run" / "checkpoints" / "last.ckpt")["global_step"]
    assert 0 < steps < 619


@pytest.mark.slow
@pytest.mark.parametrize(
    "pair", [(signal.SIGINT, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGHUP)]
)
def test_two_signals_close_together(pair: tuple[int, int], whole: Whole, tmp_path: Path) -> None:
    work = place(tmp_path)
    running = forked("vae-train", *VADE, OFTEN, *HERE, folder=work)
    appears(work / "run" / "metrics.csv")
    os.kill(running.process.pid or 0, pair[0])
    time.sleep(0.02)
    done = running.end(pair[1], after=0)
    assert done.code in (128 + pair[0], 128 + pair[1]) and len(done.err.splitlines()) == 1, done.err
    assert results(work / "run")["status"] == "interrupted"
    done = fork("vae-train", "resume=run", folder=work)
    assert (done.code, done.err) == (0, "")
    assert_same(work / "run", whole.folder)


def test_a_terminal_that_is_closed(tmp_path: Path) -> None:
    """The run is saved and ends; what it writes to the terminal is lost, and no error."""
    work, (ours, theirs) = place(tmp_path), pty.openpty()
    line = (*SMALL, "dataset.batch_size=2", "trainer.max_epochs=50", OFTEN, *HERE)
    running = forked("vae-train", *line, folder=work, TERMINAL=os.ttyname(theirs))
    os.set_blocking(ours, False)
    shown, until = b"", time.monotonic() + 240
    while not (work / "run" / "checkpoints" / "last.ckpt").exists():
        with suppress(BlockingIOError):
            shown += os.read(ours, 10_000)
        assert time.monotonic() < until and running.process.is_alive(), shown
        time.sleep(0.01)
    os.close(theirs)
    os.close(ours)
    assert running.end().code == 129
    found = results(work / "run")
    assert (found["status"], found["error"]) == ("interrupted", "the terminal was closed")


@pytest.mark.parametrize("arguments", [[*HERE], ["hydra.run.dir=run"], ["-m", "seed=0,1", "hydra.sweep.dir=run"]])
def test_a_second_process_in_a_folder_is_refused(arguments: list[str], tmp_path: Path) -> None:
    work = place(tmp_path)
    with RunFolder(work / "run").hold():
        done = fork("vae-train", *SMALL, *arguments, folder=work)
    what = "running a sweep" if "-m" in arguments else "training"
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert done.err.startswith(f"vae-train: error: run: another process is {what} in this folder")
    assert [path.name for path in work.rglob("*")] == ["run", ".lock"]


def descendants(process: int) -> list[int]:
    children = [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return [*children, *(later for child in children for later in descendants(child))]


@pytest.fixture
def watched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Path, Forked, list[int]]]:
    """A run with W&B in its second epoch or later, and its processes."""
    work = place(tmp_path)
    line = (*SMALL, "trainer.max_epochs=20", "logger=wandb", *HERE)
    running = forked("vae-train", *line, folder=work, **getattr(request, "param", {}))
    appears(work / "run" / "metrics.csv")
    pid = running.process.pid or 0
    yield work, running, [pid, *descendants(pid)]
    running.process.kill()


@pytest.mark.parametrize("watched", [{"SLURM_JOB_ID": "1"}], indirect=True, ids=["job"])
def test_slurm_signals_every_process_of_a_run(watched: tuple[Path, Forked, list[int]]) -> None:
    """The run is interrupted, says so, and W&B has all of its epochs."""
    work, running, processes = watched
    for process in reversed(processes):
        os.kill(process, signal.SIGTERM)
    done = running.end()
    assert done.code == 143 and done.err.startswith("vae-train: error: terminated; saved in"), done.err
    assert len(done.err.splitlines()) == 1
    ended = results(work / "run")
    assert (ended["status"], ended["error"]) == ("interrupted", "terminated")
    (file,) = work.glob("run/wandb/offline-run-*/*.wandb")
    rows = [item["item"] for item in of_kind(records(file), "history")]
    epochs = [row["epoch"] for row in rows if "train/loss" in row]  # others are rows of single steps
    assert max(epochs) == len(RunFolder(work / "run").history()) >= 1


def test_a_logger_that_fails_costs_a_warning(watched: tuple[Path, Forked, list[int]]) -> None:
    work, running, processes = watched
    for process in processes[1:]:
        os.kill(process, signal.SIGKILL)
    done = running.end()
    (line,) = done.err.splitlines()
    assert done.code == 0 and line.startswith("warning: logger=wandb: logs no more, the run goes on (")
    assert results(work / "run")["status"] == "done" and len(RunFolder(work / "run").history()) == 20


def test_a_time_limit_does_not_kill_a_run_that_is_done(tmp_path: Path) -> None:
    work = place(tmp_path)
    running = forked("vae-train", *SHORT, *HERE, folder=work, SLURM_JOB_ID="1")
    while RunFolder(work / "run").results_if_readable().get("status") != "done":
        time.sleep(0.001)
    done = running.end(signal.SIGUSR2, after=0)
    assert (done.code, done.err) == (0, "")
    assert results(work / "run")["status"] == "done"
