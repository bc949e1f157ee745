"""Runs and sweeps that are stopped at any moment: the same command again ends as if nothing had happened."""

import errno
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.commands import NAMES, ROOT, Done, environment, fingerprint, fork, forked, line
from tests.support.contract import pairs
from tests.support.runs import results
from vae_cli.commands.failure import Failure, attempt
from vae_cli.distributed import signals
from vae_cli.distributed.signals import STOPS, Deferral, listen
from vae_cli.runs import checkpoints
from vae_cli.runs.atomic_files import write_atomically
from vae_cli.runs.folder import RunFolder

SMALL = (
    "dataset=digits", "network.hidden=[16]", "model.latent_dim=2", "evaluate.samples=2", "logger=csv",
    "trainer.accelerator=cpu", "trainer.threads=1",
)  # fmt: skip
VADE = (
    *SMALL, "model=vade", "prior.components=3", "pretraining.epochs=2", "initialisation=gmm",
    "initialisation.fixed_epochs=2", "trainer.max_epochs=2", "dataset.batch_size=40",
)  # fmt: skip
HERE = ("ckpt=last", "hydra.run.dir=run")
OFTEN = "trainer.checkpoint_every=0.0005"
"""Minutes: every few batches."""
ELSEWHERE = "/dev/shm"
"""Another file system than that of the tests' folders."""
TIMES = ("train/seconds", "train/samples_per_second", "wall_seconds")


def rows(run: Path) -> list[list[str]]:
    """The cells of metrics.csv but for times."""
    lines = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    kept = [name not in TIMES for name in lines[0]]
    return [[cell for cell, keep in zip(line, kept, strict=True) if keep] for line in lines]


def numbers(run: Path) -> dict[str, Any]:
    """What results.json says, but for times and the state of these sources."""
    return {name: value for name, value in results(run).items() if name not in TIMES and not name.startswith("git/")}


def state(run: Path, name: str) -> list[tuple[str, Any]]:
    """Everything in a checkpoint but times and paths, flat; tensors as their bytes."""

    def flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
        if isinstance(value, torch.Tensor):
            yield path, (value.dtype, tuple(value.shape), value.numpy().tobytes())
        elif isinstance(value, dict | list | tuple):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from flat(item, f"{path}.{key}")
        else:
            yield path, value

    checkpoint = checkpoints.load(run / "checkpoints" / f"{name}.ckpt")
    skipped = ("seconds", "samples_per_second", "path", ".dirpath", ".best_k_models")
    parts = {key: value for key, value in checkpoint.items() if key != "callbacks"}
    parts |= {f"callback {key}": value for key, value in checkpoint["callbacks"].items()}
    return [(path, value) for path, value in flat(parts, "") if not any(word in path for word in skipped)]


def assert_same(run: Path, whole: Path) -> None:
    """Bit for bit, but for times; and nothing half written is left."""
    for name in ("best", "last"):
        assert state(run, name) == state(whole, name)
    assert rows(run) == rows(whole)
    assert numbers(run) == numbers(whole)
    assert fingerprint(run / "figures") == fingerprint(whole / "figures")
    assert not list(run.rglob("*.partial"))


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


def place(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    return work


def written(file: Path) -> int:
    """When a file was written; 0 if it is not there."""
    return file.stat().st_mtime_ns if file.exists() else 0


def appears(file: Path, earlier: int = 0) -> None:
    """Wait until a file is there, or has been written anew."""
    until = time.monotonic() + 240
    while written(file) == earlier:
        assert time.monotonic() < until, file
        time.sleep(0.005)


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
        print(f"killed {moment.seconds:.2f} s after {moment.begins}: {standing(work / 'run')}")
    done = fork("vae-train", *VADE, OFTEN, *HERE, folder=work)
    assert (done.code, done.err) == (0, "")
    assert_same(work / "run", whole.folder)
    before = fingerprint(work / "run")
    done = fork("vae-train", *VADE, OFTEN, *HERE, folder=work)
    assert (done.code, done.err, done.out) == (0, "", "run: done already\n")
    assert fingerprint(work / "run") == before


@pytest.mark.parametrize(
    ("number", "when", "code", "word"),
    [
        (signal.SIGTERM, "metrics.csv", 143, "terminated"),  # training, or clustering
        (signal.SIGINT, "results.json", 130, "interrupted"),  # drawing
    ],
)
def test_a_signal(number: int, when: str, code: int, word: str, whole: Whole, tmp_path: Path) -> None:
    work = place(tmp_path)
    running = forked("vae-train", *VADE, *HERE, folder=work)
    appears(work / "run" / when)
    done = running.end(number, after=0)
    command = "vae-train resume=run"
    message = f"{word}; saved in run/checkpoints/last.ckpt; continue with: {command}"
    assert (done.code, done.err) == (code, f"vae-train: error: {message}\n")
    assert (results(work / "run")["status"], results(work / "run")["error"]) == ("interrupted", word)
    for _ in range(2):
        done = fork(*command.split(), folder=work)
        assert (done.code, done.err) == (0, "")
        assert_same(work / "run", whole.folder)
    assert done.out == "run: done already\n"


def test_a_signal_within_an_epoch_is_obeyed_after_the_batch(tmp_path: Path) -> None:
    work = place(tmp_path)
    line = (*SMALL, "dataset.batch_size=2", "trainer.max_epochs=1", OFTEN, *HERE)
    running = forked("vae-train", *line, folder=work)
    appears(work / "run" / "checkpoints" / "last.ckpt")
    done = running.end(signal.SIGINT, after=0)
    assert done.code == 130 and "stopping once this batch is done and saved" in done.out
    steps = checkpoints.load(work / "run" / "checkpoints" / "last.ckpt")["global_step"]
    assert 0 < steps < 619


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The handlers of a process that has just started; afterwards those of the tests again."""
    monkeypatch.setattr(signals, "_state", signals._State())
    fresh = dict.fromkeys(STOPS, signal.SIG_DFL) | {signal.SIGINT: signal.default_int_handler}
    earlier = {number: signal.signal(number, handler) for number, handler in fresh.items()}
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_second_signal_does_not_wait() -> None:
    deferral = Deferral()
    deferral.begin()
    signal.raise_signal(signal.SIGINT)
    assert deferral.asked == signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


PAIRS = [(signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGHUP)]


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("pair", PAIRS)
def test_signals_wait_for_the_file_that_is_being_written(pair: tuple[int, int], tmp_path: Path) -> None:
    """torch would make a RuntimeError of an exception within, and the run would have failed."""
    listen()

    def write(file: Any) -> None:
        for number in pair:
            file.write(b"half")
            signal.raise_signal(number)

    (tmp_path / "last.ckpt").write_bytes(b"earlier")
    with pytest.raises(STOPS[pair[0]]):
        write_atomically(tmp_path / "last.ckpt", write, tmp_path / "previous.ckpt")
    assert (tmp_path / "last.ckpt").read_bytes() == b"halfhalf"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]


@pytest.mark.usefixtures("handlers")
def test_the_end_of_a_run_is_not_disturbed_by_further_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    listen()
    ends: list[int] = []
    monkeypatch.setattr(os, "_exit", ends.append)

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            raise RuntimeError("a library has made an error of it") from error

    assert attempt(work) == Failure("terminated", 143, "interrupted")
    assert ends == []
    signals._state.since -= 2 * signals.GRACE  # the user has waited, and does not wait any longer
    signal.raise_signal(signal.SIGINT)
    assert ends == [130]


@pytest.mark.parametrize(
    ("command", "number"),
    pairs(NAMES, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], among=lambda c, n: n == 2 or c == "vae-report"),
)
def test_a_signal_while_a_command_starts(command: str, number: int, tmp_path: Path) -> None:
    """It comes in the middle of an import, before the command has begun anything."""
    module = {"vae-train": "hydra", "vae-report": "rich"}.get(command, "omegaconf")
    stub = f"import os, time; os.kill(os.getpid(), {int(number)}); time.sleep(20)"
    (tmp_path / f"{module}.py").write_text(stub)
    variables = environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    done = subprocess.run(line(command, "."), cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60)
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}.get(number, "the terminal was closed")
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", f"{command}: error: {word}\n")


def test_a_signal_while_lightning_is_imported(tmp_path: Path) -> None:
    stub = "import os, time; os.kill(os.getpid(), 2); time.sleep(20)"
    (tmp_path / "pytorch_lightning.py").write_text(stub)
    words = line("vae-train", "dataset=digits", "logger=none", "hydra.run.dir=run")
    variables = environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120)
    assert (done.returncode, len(done.stderr.splitlines())) == (130, 1), done.stderr
    assert "vae-train: error: interrupted" in done.stderr


def test_a_signal_at_the_end_of_the_interpreter() -> None:
    late = "import atexit, os; atexit.register(os.kill, os.getpid(), 2); from vae_cli.cli import train; train()"
    words = [sys.executable, "-c", late, "--version"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("vae-train ")


@pytest.mark.parametrize("pair", [*PAIRS[1:2], *(pytest.param(one, marks=pytest.mark.slow) for one in PAIRS[::2])])
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
    words = line("vae-train", *SMALL, "dataset.batch_size=2", "trainer.max_epochs=50", OFTEN, *HERE)
    child, terminal = pty.fork()
    if not child:
        os.chdir(tmp_path)
        os.execve(words[0], words, environment())
    os.set_blocking(terminal, False)
    shown, until = b"", time.monotonic() + 240
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
        try:
            shown += os.read(terminal, 10_000)
        except OSError as error:
            assert error.errno == errno.EAGAIN, shown
        assert time.monotonic() < until, shown
        time.sleep(0.01)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    found = results(tmp_path / "run")
    assert (found["status"], found["error"]) == ("interrupted", "the terminal was closed")


def test_signals_of_others_are_left_to_them() -> None:
    earlier = [signal.signal(number, signal.SIG_IGN) for number in STOPS]
    try:
        listen()
        Deferral().begin()
        assert all(signal.getsignal(number) == signal.SIG_IGN for number in STOPS)
    finally:
        for number, handler in zip(STOPS, earlier, strict=True):
            signal.signal(number, handler)


@pytest.mark.parametrize("arguments", [[*HERE], ["hydra.run.dir=run"], ["-m", "seed=0,1", "hydra.sweep.dir=run"]])
def test_a_second_process_in_a_folder_is_refused(arguments: list[str], tmp_path: Path) -> None:
    work = place(tmp_path)
    with RunFolder(work / "run").hold():
        done = fork("vae-train", *SMALL, *arguments, folder=work)
    what = "running a sweep" if "-m" in arguments else "training"
    assert (done.code, done.err) == (2, f"vae-train: error: run: another process is {what} in this folder\n")
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
        print(f"{how} {moment.seconds:.2f} s after {moment.begins}: {standing(work / 'run')}")
        done = fork("vae-train", *VADE, OFTEN, *HERE, folder=work, **changes)
        assert (done.code, done.err) == (0, "")
        assert_same(work / "run", whole.folder)


def standing(run: Path) -> str:
    """How far a run has come, in words."""
    last = run / "checkpoints" / "last.ckpt"
    steps = checkpoints.load(last)["global_step"] if last.exists() else 0
    files = [path for path in run.rglob("*") if path.is_file()]
    half = [path.name for path in files if path.name.endswith(".partial")]
    epochs = len(rows(run)) - 1 if (run / "metrics.csv").exists() else 0
    return f"{epochs} epochs, {steps} steps saved, {len(files)} files, half written {half}"
