"""vae-status with a real SLURM: jobs that wait, that are cancelled, and that are submitted again."""

import os
from dataclasses import replace
from pathlib import Path
from shutil import which

import pytest

from tests.support.commands import fork, start
from tests.support.slurm import CLUSTER, HERE, SMALL, slurm
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.status import Start, Status

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


def test_the_jobs_of_another_user_are_shown_and_not_cancelled(tmp_path: Path) -> None:
    """SLURM lets only a user and root cancel jobs: root stands here for a colleague whose scancel is refused."""
    other = 65534
    tmp_path.chmod(0o755)
    sbatch = ["sbatch", "--parsable", "--hold", "--chdir=/", "--output=/dev/null", "--wrap=true"]
    job = slurm("setpriv", f"--reuid={other}", f"--regid={other}", "--clear-groups", *sbatch).strip()
    for name, status in (("waits", Status("queued", job)), ("runs", Status("running", job).started(Start.now()))):
        run = RunFolder(tmp_path / "all" / name)
        run.path.mkdir(parents=True)
        run.write_status(replace(status, job=job))
        os.chown(run.path, other, other)
    shown = fork("vae-status", "all", folder=tmp_path)
    assert shown.code == 0 and shown.out.count(f"SLURM job {job}: SLURM does not start it: JobHeldUser") == 2
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "scancel").write_text(f'#!/bin/sh\nexec setpriv --reuid=65533 {which("scancel")} "$@"\n')
    (tmp_path / "bin" / "scancel").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    refused = fork("vae-status", "all", "--cancel", folder=tmp_path, PATH=path)
    assert refused.code == 1 and "cancelled" not in refused.out
    assert f"SLURM does not cancel all jobs: Kill job error on job id {job}: Access/permission denied" in refused.err
    assert fork("vae-status", "all", folder=tmp_path).out == shown.out
    slurm("scancel", job)
