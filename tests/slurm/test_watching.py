"""vae-status with a real SLURM: jobs that wait, that are cancelled, and that are submitted again."""

import os
from pathlib import Path

import pytest

from tests.support.commands import fork, start
from tests.support.slurm import CLUSTER, HERE, SMALL, slurm

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]


def test_jobs_that_wait_are_cancelled_and_submitted_again(tmp_path: Path) -> None:
    work = tmp_path / f"work{os.getpid()}"
    work.mkdir()
    sweep = ["-m", *SMALL, *CLUSTER, "seed=0,1", "hydra.sweep.dir=all", "cluster.wait=false"]
    done = start("vae-train", *sweep, "cluster.options=[--hold]", folder=work, **HERE)
    assert done.code == 0, done.err
    shown = fork("vae-status", "all", folder=work)
    assert shown.code == 0 and shown.out.count("queued") == 3 and shown.out.count("JobHeldUser") == 2
    cancelled = fork("vae-status", "all", "--cancel", folder=work)
    assert (cancelled.code, cancelled.out.split()[0]) == (0, "2"), cancelled.err
    shown = fork("vae-status", "all", "--failed", folder=work)
    assert shown.code == 1 and shown.out.count("cancelled: cancelled by vae-status (SLURM job ") == 2
    again = start("vae-status", "all", "--rerun", "failed", folder=work, **HERE)
    assert again.code == 0 and "2 jobs submitted" in again.out, again.err
    shown = fork("vae-status", "all", folder=work)
    assert shown.code == 0 and shown.out.count("JobHeldUser") == 2
    slurm("scancel", *shown.out.split("SLURM job ")[1].split("_")[:1])
