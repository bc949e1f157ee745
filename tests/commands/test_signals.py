"""Signals: deferred while a file or a batch is unfinished, obeyed at once elsewhere, left to others where ignored."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import NAMES, ROOT, environment, line
from tests.support.contract import pairs
from vae_cli.commands.failure import Failure, attempt
from vae_cli.distributed import signals
from vae_cli.distributed.signals import STOPS, Deferral, listen
from vae_cli.runs.atomic_files import write_atomically


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
    with pytest.raises(STOPS[pair[0]].error):
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


def test_signals_of_others_are_left_to_them() -> None:
    earlier = [signal.signal(number, signal.SIG_IGN) for number in STOPS]
    try:
        listen()
        Deferral().begin()
        assert all(signal.getsignal(number) == signal.SIG_IGN for number in STOPS)
    finally:
        for number, handler in zip(STOPS, earlier, strict=True):
            signal.signal(number, handler)
