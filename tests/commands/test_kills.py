"""Runs and sweeps that are killed at any moment: the command repeated ends as if nothing had happened."""

import json
import random
import signal
import time
from pathlib import Path

import pytest

from tests.support.commands import Done, fingerprint, fork, forked
from tests.support.interruptions import (
    HERE,
    OFTEN,
    SMALL,
    VADE,
    Span,
    Whole,
    appears,
    assert_same,
    place,
    state_of,
    written,
)  # fmt: skip
from tests.support.runs import results

ELSEWHERE = "/dev/shm"
"""Another file system than that of the tests' folders."""


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


@pytest.mark.slow
def test_the_starts_of_a_run(tmp_path: Path) -> None:
    """A killed start and a terminated one: the wall time is that of all together."""
    work = place(tmp_path)
    line = (*SMALL, "trainer.max_epochs=10", *HERE)
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
