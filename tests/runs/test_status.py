"""The starts of a run: their ends, their durations, and those that saved nothing."""

import os
import re
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from vae_cli.commands.job import IDLE, requeue
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.status import Start, Status
from vae_cli.training.checkpointing import AtomicCheckpointIO


def test_a_start_lasts_until_its_last_sign_of_life(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_status(Status("running").started(Start.now()))
    time.sleep(0.05)
    assert run.present_status().starts[-1].seconds >= 0.05
    assert not run.present_status().starts[-1].saved
    run.checkpoints.mkdir()
    run.checkpoint("last").touch()
    os.utime(run.checkpoint("last"), (time.time() + 1, time.time() + 1))
    first = run.present_status()
    run.write_status(first.started(Start.now()))
    status = run.status()
    assert status and [(one.end, one.saved) for one in status.starts] == [("killed", True), (None, False)]
    assert status.starts[0].seconds == first.starts[-1].seconds


def test_a_job_whose_starts_save_nothing_is_not_requeued(tmp_path: Path) -> None:
    """It would go round until cluster.requeue is reached."""
    run = RunFolder(tmp_path)
    idle = [Start("2026-01-01T00:00:00+00:00", "node")] * IDLE
    run.write_status(Status("running", starts=tuple(idle)))
    failure = requeue(run, 10, ExitStack())
    assert failure.status == "interrupted"
    assert failure.message == "time limit; the last 3 starts saved nothing: use a longer cluster.time"
    saved = Start("2026-01-01T00:00:00+00:00", "node", saved=True)
    assert Status("running", starts=(*idle, saved)).idle_starts == 0
    assert Status("running", starts=(saved, *idle)).idle_starts == IDLE


def test_the_longest_save_is_kept_and_compared_with_the_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(tmp_path)
    run.write_status(Status("running").started(Start.now()))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    writer = AtomicCheckpointIO(run, 0.5)
    for size in (2_000_000, 1, 2_000_000):
        writer.save_checkpoint({"x": torch.zeros(size)}, run.checkpoint("last"))
        status = run.status()
        assert status and status.save_seconds > 0.001
        assert status.results["save_seconds"] == status.save_seconds
    warned = capsys.readouterr().err.splitlines()
    assert len(warned) == 1 and warned[0].startswith("warning: cluster.notice=0.5: a checkpoint takes ")
    assert re.search(r"; use cluster.notice=[1-9]\d* for the next submission$", warned[0])
    assert run.present_status().started(Start.now()).save_seconds == status.save_seconds


def test_a_status_without_starts_is_read() -> None:
    """That of the runs of format 1."""
    assert Status.parse('{"state": "running", "epoch": 3}') == Status("running", epoch=3)
