"""Runs and sweeps that are stopped at any moment: the command repeated ends as if nothing had happened."""

import json
import os
import pty
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.commands import Done, Forked, fingerprint, fork, forked
from tests.support.interruptions import (
    HERE,
    OFTEN,
    SMALL,
    VADE,
    appears,
    assert_same,
    place,
    state_of,
    written,
)  # fmt: skip
from tests.support.runs import results
from tests.support.wandb_files import of_kind, records
from vae_cli.runs import checkpoints
from vae_cli.runs.folder import RunFolder

SHORT = (*SMALL, "trainer.max_epochs=1")
ELSEWHERE = "/dev/shm"
"""Another file system than that of the tests' folders."""


@dataclass(frozen=True)
class Span:
    """A part of a run's life: the seconds from the appearance of a file on, or from the start of the command."""

    begins: str | None
    seconds: float


@dataclass(frozen=True)
class Whole:
    """A run that nothing has interrupted."""

    folder: Path
    starting: Span
    training: Span
    ending: Span

    def moment(self, draw: random.Random) -> Span:
        """A random one, twice as often in training as before or after it."""
        span = draw.choice([self.starting, self.training, self.training, self.ending])
        return replace(span, seconds=span.seconds * draw.random())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    work = tmp_path_factory.mktemp("interruptions") / "work"
    work.mkdir()
    fork("vae-train", "--version", folder=work)  # starts the server that the others are forked from
    began, run = time.time(), work / "run"
    done = fork("vae-train", *VADE, "trainer.checkpoint_every=null", *HERE, folder=work)
    assert (done.code, done.err) == (0, "")
    assert results(run)["train/epochs"] == 6
    files = ("config.yaml", "checkpoints/last.ckpt", "results.json")
    first, trained, last = ((run / name).stat().st_mtime for name in files)
    spans = [Span(None, first - began), Span("config.yaml", trained - first), Span("config.yaml", last - first)]
    return Whole(run, *spans)


def kill(moment: Span, work: Path, *line: str, **changes: str) -> Done:
    """Run a command and kill it at this moment, if it is not done by then."""
    awaited = work / "run" / (moment.begins or "")
    earlier = written(awaited)
    running = forked("vae-train", *line, folder=work, **changes)
    if moment.begins:
        appears(awaited, earlier)
    done = running.end(signal.SIGKILL, moment.seconds)
    assert done.code in (0, -signal.SIGKILL) and done.err == ""
    return done


@pytest.mark.parametrize("parts", [(0.4, 0.9), pytest.param((0.1, 0.4, 0.7, 1.2), marks=pytest.mark.slow)], ids=len)
def test_a_run_that_is_killed_again_and_again(parts: tuple[float, ...], whole: Whole, tmp_path: Path) -> None:
    work, draw = place(tmp_path), random.Random(0)
    for number, part in enumerate(parts):
        changes = {"TMPDIR": ELSEWHERE} if number % 2 and Path(ELSEWHERE).is_dir() else {}
        moment = Span(whole.training.begins, draw.uniform(0.8, 1.2) * part * whole.training.seconds)
        kill(moment, work, *VADE, OFTEN, *HERE, **changes)
        print(f"killed {moment.seconds:.2f} s after {moment.begins}: {state_of(work / 'run')}")
    done = fork("vae-train", *VADE, OFTEN, *HERE, folder=work)
    assert (done.code, done.err) == (0, "")
    assert_same(work / "run", whole.folder)
    before = fingerprint(work / "run")
    done = fork("vae-train", *VADE, OFTEN, *HERE, folder=work)
    assert (done.code, done.err) == (0, "") and done.out.startswith("run: done already; ")
    assert fingerprint(work / "run") == before


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
    line, when, figures = (SHORT, "results.json", {"FIGURES": "drawn"}) if drawing else (VADE, "metrics.csv", {})
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


@pytest.mark.parametrize(
    "pair",
    [
        (signal.SIGINT, signal.SIGTERM),
        pytest.param((signal.SIGINT, signal.SIGINT), marks=pytest.mark.slow),
        pytest.param((signal.SIGTERM, signal.SIGHUP), marks=pytest.mark.slow),
    ],
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


def test_a_run_without_a_checkpoint_starts_again(tmp_path: Path) -> None:
    work = place(tmp_path)
    line = (*SMALL, "dataset.batch_size=2", "trainer.max_epochs=1")
    running = forked("vae-train", *line, "hydra.run.dir=run", folder=work)
    appears(work / "run" / "config.yaml")
    running.end(signal.SIGKILL, after=0)
    if (work / "run" / "checkpoints").is_dir():
        pytest.skip("it was quicker than the signal")
    refused = fork("vae-train", *line, "hydra.run.dir=run", folder=work)
    assert refused.code == 2 and "it has no checkpoint yet: ckpt=last starts it again" in refused.err
    refused = fork("vae-train", "resume=run", folder=work)
    assert refused.code == 2 and "has no checkpoints/last.ckpt" in refused.err
    running = forked("vae-train", *line, OFTEN, *HERE, folder=work)
    appears(work / "run" / "checkpoints" / "last.ckpt")
    running.end(signal.SIGKILL, after=0)


@pytest.mark.slow
def test_a_sweep_that_is_killed_again_and_again(tmp_path: Path) -> None:
    line = ("-m", *SMALL, "trainer.max_epochs=2", "seed=0,1", OFTEN)
    work, draw = place(tmp_path), random.Random(0)
    began = time.monotonic()
    assert fork("vae-train", *line, "hydra.sweep.dir=whole", folder=work).code == 0
    life = time.monotonic() - began
    for moment in (draw.uniform(0.1, 0.7) * life for _ in range(3)):
        kill(Span(None, moment), work, *line, "hydra.sweep.dir=killed")
    done = fork("vae-train", *line, "hydra.sweep.dir=killed", folder=work)
    assert (done.code, done.err) == (0, "")
    tables = [json.loads((work / name / "sweep.json").read_text()) for name in ("killed", "whole")]
    for ours, theirs in zip(*tables, strict=True):
        assert {**ours, "wall_seconds": 0} == {**theirs, "wall_seconds": 0}
        assert_same(work / "killed" / ours["folder"], work / "whole" / theirs["folder"])


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same file system", "TMPDIR elsewhere"])
def test_ten_kills_each_from_a_fresh_start(elsewhere: bool, whole: Whole, tmp_path: Path) -> None:
    draw, changes = random.Random(int(elsewhere)), {"TMPDIR": ELSEWHERE} if elsewhere else {}
    for number in range(10):
        work, moment = tmp_path / str(number), whole.moment(draw)
        work.mkdir()
        killed = kill(moment, work, *VADE, OFTEN, *HERE, **changes).code != 0
        how = "killed" if killed else "done"
        print(f"{how} {moment.seconds:.2f} s after {moment.begins}: {state_of(work / 'run')}")
        done = fork("vae-train", *VADE, OFTEN, *HERE, folder=work, **changes)
        assert (done.code, done.err) == (0, "")
        assert_same(work / "run", whole.folder)


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
    epochs = [item["item"]["epoch"] for item in of_kind(records(file), "history")]
    assert max(epochs) == len(RunFolder(work / "run").history()) >= 1


def test_a_logger_that_fails_costs_a_warning(watched: tuple[Path, Forked, list[int]]) -> None:
    work, running, processes = watched
    for process in processes[1:]:
        os.kill(process, signal.SIGKILL)
    done = running.end()
    (line,) = done.err.splitlines()
    assert done.code == 0 and line.startswith("warning: logger=wandb: logs no more, the run goes on (")
    assert results(work / "run")["status"] == "done" and len(RunFolder(work / "run").history()) == 20


def test_the_starts_of_a_run(tmp_path: Path) -> None:
    """A killed start and a terminated one: the wall time is that of all together."""
    work = place(tmp_path)
    line = (*SMALL, "trainer.max_epochs=20", *HERE)
    for number in (signal.SIGKILL, signal.SIGTERM):
        earlier = written(work / "run" / "metrics.csv")
        running = forked("vae-train", *line, folder=work)
        appears(work / "run" / "metrics.csv", earlier)
        running.end(number, after=0)
    assert fork("vae-train", *line, folder=work).code == 0
    ended = results(work / "run")
    assert [one["end"] for one in ended["starts"]] == ["killed", "terminated", "done"]
    assert all(one["seconds"] > 0 and one["host"] for one in ended["starts"])
    assert ended["wall_seconds"] == pytest.approx(sum(one["seconds"] for one in ended["starts"]))


def test_a_time_limit_does_not_kill_a_run_that_is_done(tmp_path: Path) -> None:
    work = place(tmp_path)
    running = forked("vae-train", *SHORT, *HERE, folder=work, SLURM_JOB_ID="1")
    while RunFolder(work / "run").results_if_readable().get("status") != "done":
        time.sleep(0.001)
    done = running.end(signal.SIGUSR2, after=0)
    assert (done.code, done.err) == (0, "")
    assert results(work / "run")["status"] == "done"
