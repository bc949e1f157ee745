"""A real SLURM of two nodes: sweeps as arrays, jobs that are cancelled and requeued, one run on both nodes."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment, fingerprint, fork, line, start
from tests.support.runs import results
from tests.support.slurm import CLUSTER, HERE, SMALL, numbers, running, slurm, soon, status, wait, work
from vae_cli.runs import study
from vae_cli.runs.layout import queue_name

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]

__all__ = ["work"]


def test_a_sweep_of_which_jobs_are_cancelled_preempted_and_run_out_of_time(work: Path) -> None:
    run = [*SMALL, "logger=[csv,wandb]", "trainer.max_epochs=30"]
    sweep = ["-m", *run, *CLUSTER, "seed=0,1,2,3,4,5", "hydra.sweep.dir=all"]
    with running(work, *sweep) as command:
        wait(lambda: len(list(work.glob("all/*/overrides.yaml"))) == 6)
        folders = {f.read_text().split("seed=")[1][0]: f.parent for f in work.glob("all/*/overrides.yaml")}
        cancelled, preempted, overtime = (folders[seed] for seed in "012")
        wait(lambda: queue_name(work / "all") in slurm("squeue", "--format=%j"))
        queue = slurm(
            "squeue", "--noheader", "--array", f"--name={queue_name(work / 'all')}", "--format=%F"
        ).splitlines()
        assert (len(queue), len(set(queue))) == (6, 1)  # one array, named after the sweep
        jobs = {}
        for folder in (cancelled, preempted, overtime):
            wait(lambda folder=folder: status(folder)["epoch"] > 0)
            jobs[folder] = status(folder)["job"]
            order = {cancelled: ["scancel"], preempted: ["scontrol", "requeue"]}
            slurm(*order.get(folder, ["scancel", "--signal=USR2"]), jobs[folder])
        for folder in (preempted, overtime):
            soon(jobs[folder])
        output, _ = command.communicate(timeout=900)
    assert command.returncode == 1, output
    assert f"cancelled in SLURM (job {jobs[cancelled]})" in output and "continue with: vae-train" in output
    rows = json.loads((work / "all" / "sweep.json").read_text())
    ends = [one["end"] for one in results(overtime)["starts"]]
    assert ends == ["time limit", "done"]
    assert [one["end"] for one in results(preempted)["starts"]] == ["terminated", "done"]
    assert {row["folder"]: row["status"] for row in rows} == {
        folder.name: "cancelled" if folder == cancelled else "done" for folder in folders.values()
    }
    assert (status(preempted)["requeued"], status(overtime)["requeued"]) == (0, 1)
    error = (overtime / "slurm.log").read_text()
    assert "time limit; back in the queue for the 1. time of 10" in error and "Traceback" not in error

    kept = results(preempted)
    with running(work, *sweep) as command:
        output, _ = command.communicate(timeout=900)
    assert command.returncode == 0, output
    assert "1 job submitted as SLURM job" in output and results(preempted) == kept
    for seed, folder in (("0", cancelled), ("1", preempted), ("2", overtime)):
        alone = work / f"alone{seed}"
        assert fork("vae-train", *run, f"seed={seed}", f"hydra.run.dir={alone}", folder=work).code == 0
        assert numbers(folder) == numbers(alone)


def test_a_run_on_two_nodes_is_that_of_one_process(work: Path) -> None:
    line_ = [*SMALL, "trainer.max_epochs=2", "dataset.batch_size=33"]
    srun = ["srun", "--nodes=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
    command = [*srun, *line("vae-train", *line_, "trainer.num_nodes=2")]
    settings = {"cwd": work, "env": environment(**HERE), "stdin": subprocess.DEVNULL, "timeout": 900}
    done = subprocess.run(command, capture_output=True, text=True, **settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2/2") == 1
    (both,) = (work / "outputs" / "train" / "slurm").iterdir()
    assert fork("vae-train", *line_, "hydra.run.dir=one", folder=work).code == 0
    for ours, theirs in zip(numbers(both), numbers(work / "one"), strict=True):
        assert {k: float(v) for k, v in ours.items() if v is not None} == pytest.approx(
            {k: float(v) for k, v in theirs.items() if v is not None}, rel=1e-3, abs=1e-3
        )


def test_a_job_that_fails_says_why_in_its_own_log(work: Path) -> None:
    line_ = ["-m", *SMALL, *CLUSTER, "dataset=array", "dataset.path=none.npz", "hydra.sweep.dir=all"]
    done = start("vae-train", *line_, folder=work, **HERE)
    assert done.code == 1 and "none.npz" in done.out
    (error,) = work.glob("all/.slurm/*.log")
    assert error.samefile(next(work.glob("all/*/slurm.log")))
    assert [row for row in error.read_text().splitlines() if "vae-train: error:" in row]
    assert "Traceback" not in error.read_text() + done.err
    wait(lambda: "JobState=FAILED" in slurm("scontrol", "show", "job", error.stem), 60)
    assert "ExitCode=1:0" in slurm("scontrol", "show", "job", error.stem)


def test_a_sweep_that_nobody_waits_for(work: Path) -> None:
    sweep = ["-m", *SMALL, *CLUSTER, "trainer.max_epochs=2", "seed=0,1", "hydra.sweep.dir=all", "cluster.wait=false"]
    held = [*sweep, "cluster.options=[--hold,--comment=a=b]"]
    done = start("vae-train", *held, folder=work, **HERE)
    assert done.code == 0 and done.out.count("queued") == 2, done.err
    assert "vae-status all shows their states" in done.out
    done = start("vae-train", *sweep, folder=work, **HERE)
    assert done.code == 0 and "in the queue already: 2 jobs" in done.out and "submitted" not in done.out
    slurm("scancel", f"--name={queue_name(work / 'all')}")


def test_a_search_whose_command_is_killed_goes_on_with_its_jobs(work: Path) -> None:
    """Its trials, on two nodes, are halved through one file; none is repeated."""
    search = ["hparams_search=halving", *SMALL, *CLUSTER, "trainer.max_epochs=9", "hydra.sweeper.n_trials=5"]
    search += ["dataset.subset=400", "hydra.sweep.dir=all"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    first = subprocess.Popen(line("vae-train", *search), cwd=work, env=environment(**HERE), **pipes)
    wait(lambda: any(status(file.parent)["epoch"] for file in work.glob("all/*/config.yaml")))
    first.kill()
    first.wait()
    with running(work, *search) as again:
        output, _ = again.communicate(timeout=900)
    assert again.returncode == 0 and "submitted as SLURM job" not in output, output
    rows = json.loads((work / "all/sweep.json").read_text())
    ends = [results(work / "all" / row["folder"]) for row in rows]
    assert [len(end["starts"]) for end in ends] == [1] * 5 and len({end["starts"][0]["job"] for end in ends}) == 5
    states = [trial.state.name for trial in study.load(work / "all").trials]
    assert len(states) == 5 and set(states) == {"COMPLETE", "PRUNED"}
    assert states.count("PRUNED") == sum(end["status"] == "pruned" for end in ends)
    assert {row["status"] for row in rows} == {"done", "pruned"} and "of 5 trials, trained" in output


def test_a_search_draws_the_next_trial_where_one_has_ended(work: Path) -> None:
    search = ["hparams_search=optuna", *SMALL, *CLUSTER, "cluster.parallel=2", "hydra.sweep.dir=all"]
    search += ["trainer.max_epochs=1,150", "optimizer.lr=interval(0.001,0.01)", "hydra.sweeper.n_trials=3"]
    search += ["hydra.sweeper.sampler._target_=optuna.samplers.RandomSampler", "hydra.sweeper.sampler.seed=3"]
    with running(work, *search) as command:
        output, _ = command.communicate(timeout=900)
    assert command.returncode == 0, output
    trials = study.load(work / "all").trials
    assert [trial.params["trainer.max_epochs"] for trial in trials] == ["1", "150", "1"]
    ends = [trial.datetime_complete for trial in trials]
    assert min(ends[:2]) < trials[2].datetime_start < max(ends[:2])


def test_jobs_that_cannot_start_go_on_waiting_without_the_command(work: Path) -> None:
    """The command tells SLURM's reason, and at each signal how to stop the jobs."""
    sweep = ["-m", *SMALL, *CLUSTER, "cluster.cpus=99", "hydra.sweep.dir=all"]
    for number, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)):
        with running(work, *sweep) as command:
            assert command.stdout
            told = next(line for line in command.stdout if "SLURM does not start" in line)
            command.send_signal(number)
            output, _ = command.communicate(timeout=60)
            (job,) = slurm("squeue", "--noheader", f"--name={queue_name(work / 'all')}", "--format=%F").split()
        assert "SLURM does not start 1 job: PartitionConfig" in told
        assert command.returncode == code, output
        assert f"the jobs continue without this command; scancel {job} stops them" in output
        assert "SLURM does not start it: PartitionConfig" in output


def test_a_job_that_is_cancelled_while_it_waits(work: Path) -> None:
    sweep = ["-m", *SMALL, *CLUSTER, "seed=0,1", "hydra.sweep.dir=all", "cluster.wait=false"]
    done = start("vae-train", *sweep, "cluster.options=[--hold,--comment=a=b]", "cluster.notice=30", folder=work)
    assert done.code == 0 and done.out.count("SLURM does not start it: JobHeldUser") == 2, done.err
    (script,) = work.glob("all/.slurm/*.sh")
    assert {"#SBATCH --signal=USR2@30", "#SBATCH --comment=a=b"} <= set(script.read_text().splitlines())
    (job,) = set(slurm("squeue", "--noheader", f"--name={queue_name(work / 'all')}", "--format=%F").split())
    slurm("scancel", f"{job}_0")
    shown = start("vae-report", "all", folder=work).out
    assert f"cancelled: cancelled in SLURM (job {job}_0)" in shown and "hydra.sweep.dir=all submits it again" in shown
    assert shown.count("JobHeldUser") == 1
    slurm("scancel", job)


def test_a_submission_that_slurm_refuses_leaves_nothing(work: Path) -> None:
    sweep = ["-m", *SMALL, *CLUSTER, "seed=0,1", "hydra.sweep.dir=all", "cluster.partition=none"]
    done = start("vae-train", *sweep, folder=work)
    assert done.code == 1 and "unfinished" not in done.out
    (told,) = done.err.splitlines()
    assert told.startswith("vae-train: error: SLURM refuses the jobs: ") and "continue with" not in done.out
    assert told.count("Invalid partition name specified") == 1
    assert not (work / "all").exists()
    search = ["hparams_search=optuna", *sweep[1:-4], "optimizer.lr=interval(0.001,0.01)"]
    done = start("vae-train", *search, *sweep[-2:], folder=work)
    assert done.code == 1 and "SLURM refuses the jobs" in done.err and not (work / "all").exists()


def test_a_submission_that_slurm_refuses_leaves_an_earlier_sweep_as_it_was(work: Path) -> None:
    sweep = ["-m", *SMALL, "trainer.max_epochs=1", "hydra.sweep.dir=all"]
    assert fork("vae-train", *sweep, "seed=0", folder=work).code == 0
    before = fingerprint(work / "all")
    done = start("vae-train", *sweep, *CLUSTER, "seed=0,1", "cluster.partition=none", folder=work)
    assert done.code == 1 and "SLURM refuses the jobs" in done.err
    after = fingerprint(work / "all")
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} <= {
        "multirun.yaml",  # hydra's
    }
    shown = fork("vae-status", "all", folder=work)
    assert shown.code == 0 and "all: 1 done\n" in shown.out


def test_a_full_disk_at_submission(work: Path) -> None:
    (work / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(work / "disk")]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        sweep = ["-m", *SMALL, *CLUSTER, "seed=0,1", "hydra.sweep.dir=disk/all", "cluster.options=[--hold]"]
        done = start("vae-train", *sweep, folder=work)
        assert done.code == 1 and "No space left on device" in done.err and "refuses" not in done.err
        assert slurm("squeue", "--noheader", f"--name={queue_name(work / 'disk/all')}") == ""
    finally:
        subprocess.run(["umount", str(work / "disk")], check=True)


def test_nodes_that_cannot_meet(work: Path) -> None:
    """They end with a line after a time limit, here five seconds, and before it at a signal."""
    line_ = [*SMALL, "trainer.num_nodes=2"]
    srun = ["srun", "--nodes=2", "--ntasks-per-node=1", f"--job-name={work.name}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL, "text": True}
    settings = {"cwd": work, "env": environment(**HERE | {"MASTER_ADDR": "nowhere.invalid"}), **pipes}
    quick = "import vae_cli.distributed.rendezvous as r; r.LIMIT = 5; from vae_cli.cli import train; train()"
    done = subprocess.run([*srun, sys.executable, "-c", quick, *line_, "hydra.run.dir=late"], timeout=120, **settings)
    assert done.returncode == 1 and done.stdout.count("vae-train: error: the processes do not meet (") == 1
    assert "Traceback" not in done.stdout
    with subprocess.Popen([*srun, *line("vae-train", *line_, "hydra.run.dir=run")], **settings) as process:
        assert process.stdout
        told = next(line for line in process.stdout if "waits for the other processes" in line)
        slurm("scancel", f"--name={work.name}")
        process.communicate(timeout=60)
    assert "MASTER_ADDR=nowhere.invalid (has no address here)" in told and "GLOO_SOCKET_IFNAME=lo" in told
    assert results(work / "run")["error"] == "terminated"
