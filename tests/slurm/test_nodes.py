"""Runs on several nodes of a real SLURM: the request and the environment of GPU jobs, and processes that meet."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from tests.support.commands import environment, fork, line, start
from tests.support.pages import DOCS, blocks
from tests.support.runs import results
from tests.support.slurm import HERE, wait, work
from vae_cli.distributed.process_group import ProcessLayout

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]

SMALL = ["-m", "dataset=digits", "network.hidden=[16]", "model.latent_dim=2", "evaluate.samples=2", "logger=none"]
SWEEP = [*SMALL, "cluster=slurm", "cluster.memory=1", "cluster.cpus=1", "trainer.num_nodes=2", "hydra.sweep.dir=all"]
__all__ = ["work"]


def scontrol(*arguments: str) -> str:
    done = subprocess.run(["scontrol", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_request_and_the_environment_of_a_gpu_job(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes of the test cluster have GPUs on paper: srun starts a process for each, which ends at once."""
    look = "cluster.setup=['srun --output=task-%t printenv', 'scontrol show job $SLURM_JOB_ID > job', 'exit 0']"
    done = start("vae-train", *SWEEP, "trainer.devices=4", "cluster.wait=false", look, folder=work)
    assert done.code == 0, done.err
    wait(lambda: (work / "job").exists() and (work / "job").read_text())
    job = (work / "job").read_text()
    for request in ("NumNodes=2 ", "NumTasks=8 ", "CPUs/Task=1 ", "TresPerNode=gres:gpu:4", "MinMemoryNode=1G"):
        assert request in job
    lines = ((work / f"task-{number}").read_text().splitlines() for number in range(8))
    tasks = [{name: value for name, _, value in (one.partition("=") for one in task)} for task in lines]
    assert [(one["SLURM_NODEID"], one["SLURM_LOCALID"]) for one in tasks] == [(n, k) for n in "01" for k in "0123"]
    for one in tasks:
        assert (one["CUDA_VISIBLE_DEVICES"], one["OMP_NUM_THREADS"], one["PYTHONSAFEPATH"]) == ("0,1,2,3", "1", "1")
    for name in [name for name in os.environ if name.startswith("SLURM_")] + ["MASTER_ADDR", "MASTER_PORT"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in tasks[5].items():
        if name.startswith("SLURM_"):
            monkeypatch.setenv(name, value)
    assert ProcessLayout.of(4, 2).count == 8
    place = SLURMEnvironment(auto_requeue=False)
    assert (place.global_rank(), place.local_rank(), place.node_rank(), place.world_size()) == (5, 1, 1, 8)
    assert place.main_address == "n1" and 15000 <= place.main_port < 25000


def test_two_processes_on_each_of_two_nodes_train_as_one(work: Path) -> None:
    settings = ["trainer.accelerator=cpu", "trainer.threads=1", "trainer.max_epochs=2", "dataset.batch_size=33"]
    done = start("vae-train", *SWEEP, *settings, "trainer.devices=2", folder=work, **HERE)
    assert done.code == 0, done.out + done.err
    (run,) = (file.parent for file in work.glob("all/*/results.json"))
    (begun,) = results(run)["starts"]
    assert (begun["processes"], begun["threads"], begun["gpu"]) == (4, 1, None)
    assert begun["command"].startswith("vae-train -m dataset=digits ") and begun["job"]
    job = scontrol("show", "job", begun["job"])
    assert "NumTasks=4 " in job and "gpu" not in job
    assert fork("vae-train", *SMALL[1:], *settings, "hydra.run.dir=one", folder=work).code == 0
    ours, theirs = (
        {
            key: value
            for key, value in results(folder).items()
            if key.startswith(("test/", "val/")) and value is not None
        }
        for folder in (run, work / "one")
    )
    assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)


def test_a_job_in_a_container_is_requeued_by_its_script(work: Path) -> None:
    """The script of the page, whose container is here a PATH without SLURM's commands."""
    (script,) = (block for block in blocks(DOCS / "running.md", "bash") if "apptainer" in block)
    small = [*SMALL[1:], "trainer.accelerator=cpu", "trainer.threads=1", "trainer.max_epochs=20"]
    command = shlex.join(["env", f"PATH={Path(sys.executable).parent}", *line("vae-train", *small)])
    for old, new in (
        ("apptainer exec --nv vae.sif vae-train trainer=gpu", command),
        ("--ntasks-per-node=4 --gpus-per-node=4 --cpus-per-task=8", "--ntasks-per-node=1 --cpus-per-task=1"),
        ("trainer.devices=4", "trainer.devices=1"),
    ):
        assert script.count(old) == 1
        script = script.replace(old, new)
    (work / "job.sh").write_text(script)
    settings = {"cwd": work, "env": environment(**HERE), "capture_output": True, "text": True, "check": True}
    job = subprocess.run(["sbatch", "--parsable", "job.sh"], **settings).stdout.strip()
    run = work / "outputs" / "train" / "slurm" / f"{job}.0"
    wait(lambda: (run / "checkpoints" / "last.ckpt").exists())
    subprocess.run(["scancel", "--signal=USR2", job], check=True)
    wait(lambda: "JobState=PENDING" in scontrol("show", "job", job))
    scontrol("update", f"jobid={job}", "starttime=now+5")  # not at once: the nodes still end the first start
    wait(lambda: "JobState=COMPLETED" in scontrol("show", "job", job))
    assert [one["end"] for one in results(run)["starts"]][1:] == ["done"], (work / f"slurm-{job}.out").read_text()
    assert results(run)["train/epochs"] == 20
