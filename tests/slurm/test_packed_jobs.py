"""Sweeps on a real SLURM: the submission of many jobs, and several jobs in one task."""

import json
import resource
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import fork, start
from tests.support.slurm import CLUSTER, HERE, SMALL, numbers, running, slurm, soon, status, wait, work
from vae_cli.runs.layout import queue_name

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]

__all__ = ["work"]
HELD = "cluster.options=[--hold]"


def states(folder: Path) -> dict[str, str]:
    return {row["folder"]: row["status"] for row in json.loads((folder / "sweep.json").read_text())}


def test_hundreds_of_jobs_are_submitted_in_seconds(work: Path) -> None:
    betas = ",".join(map(str, range(1, 151)))
    sweep = ["-m", *SMALL, *CLUSTER, f"objective.beta={betas}", "seed=0,1", "hydra.sweep.dir=all"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = start("vae-train", *sweep, HELD, "cluster.wait=false", folder=work)
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    assert done.code == 0 and "300 jobs submitted" in done.out and "vae-status all shows" in done.out, done.err
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"300 jobs: {seconds:.1f} s, {cpu:.1f} s of CPU")
    assert cpu < 15  # 6 on a quiet machine
    queue = slurm("squeue", "--noheader", "--array", f"--name={queue_name(work / 'all')}", "--format=%F %K %E")
    rows = [line.split() for line in queue.splitlines()]
    sizes = Counter(row[0] for row in rows)
    first = sizes.most_common(1)[0][0]
    assert sorted(sizes.values()) == [50, 250]  # as MaxArraySize allows
    assert {row[2] for row in rows} == {"(null)", f"afterany:{first}_*(unfulfilled)"}, rows[:3]
    assert len(list((work / "all" / ".slurm").iterdir())) == 5
    slurm("scancel", f"--name={queue_name(work / 'all')}")


def test_a_job_that_fails_does_not_end_the_others_of_its_task(work: Path) -> None:
    np.savez(work / "small.npz", x=np.random.default_rng(0).random((40, 6)).astype("float32"))
    (work / "broken.npz").write_bytes(b"no arrays")
    data = ["dataset=array", "likelihood=gaussian", "dataset.path=small.npz,broken.npz"]
    sweep = ["-m", *SMALL, *data, *CLUSTER, "trainer.max_epochs=1", "cluster.pack=4", "seed=0,1", "hydra.sweep.dir=all"]
    with running(work, *sweep) as command:
        output, _ = command.communicate(timeout=600)
    assert command.returncode == 1, output
    ends = {"broken.npz" in name: state for name, state in states(work / "all").items()}
    assert ends == {True: "failed", False: "done"}
    (log,) = (work / "all" / ".slurm").glob("*.log")
    assert "\x1b" not in log.read_text(), "SLURM gives the task a terminal, on which it draws bars"
    assert {row["log"] for row in json.loads((work / "all" / "sweep.json").read_text())} == {f".slurm/{log.name}"}
    assert all(path.samefile(log) for path in work.glob("all/*/slurm.log"))
    wait(lambda: "JobState=FAILED" in slurm("scontrol", "show", "job", log.stem), 60)


def test_a_time_limit_in_the_middle_of_a_task(work: Path) -> None:
    run = [*SMALL, "trainer.max_epochs=60"]
    sweep = ["-m", *run, *CLUSTER, "cluster.pack=4", "seed=0,1,2,3", "hydra.sweep.dir=all"]
    folders = [work / "all" / f"seed={seed}" for seed in range(4)]
    with running(work, *sweep) as command:
        wait(lambda: status(folders[1])["epoch"] > 0)
        job = status(folders[1])["job"]
        kept = (folders[0] / "results.json").read_bytes()
        shown = start("vae-report", "all", folder=work).out
        slurm("scancel", "--signal=USR2", job)
        soon(job)
        output, _ = command.communicate(timeout=500)
    assert command.returncode == 0, output
    assert f"SLURM job {job} runs, and this run begins later" in shown
    assert set(states(work / "all").values()) == {"done"}
    assert (folders[0] / "results.json").read_bytes() == kept
    requeued = [status(folder)["requeued"] for folder in folders]
    assert requeued[0] == 0 and sum(requeued) == 1  # the report takes as long as a job: the next may have begun
    assert fork("vae-train", *run, "seed=1", "hydra.run.dir=alone", folder=work).code == 0
    assert numbers(folders[1]) == numbers(work / "alone")


def test_all_that_is_left_of_a_cancelled_task_is_cancelled(work: Path) -> None:
    sweep = ["-m", *SMALL, *CLUSTER, "trainer.max_epochs=30", "cluster.pack=3", "seed=0,1,2", "hydra.sweep.dir=all"]
    folders = [work / "all" / f"seed={seed}" for seed in range(3)]
    with running(work, *sweep) as command:
        wait(lambda: status(folders[1])["epoch"] > 0)
        slurm("scancel", status(folders[1])["job"])
        output, _ = command.communicate(timeout=500)
    assert command.returncode == 1, output
    assert [states(work / "all")[folder.name] for folder in folders] == ["done", "cancelled", "cancelled"]


def test_a_task_takes_as_many_jobs_as_earlier_runs_were_short(work: Path) -> None:
    run = [*SMALL, "trainer.max_epochs=1", "hydra.sweep.dir=all"]
    assert fork("vae-train", "-m", *run, "seed=0", folder=work, **HERE).code == 0
    held = [*run, *CLUSTER, "cluster.pack=auto", "cluster.wait=false", HELD, "seed=0,1,2,3"]
    done = start("vae-train", "-m", *held, folder=work)
    assert done.code == 0 and "4 jobs submitted" in done.out and "4 in each task" in done.out, done.out + done.err
    slurm("scancel", f"--name={queue_name(work / 'all')}")
