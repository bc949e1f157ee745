"""The script of an array, and its largest part that SLURM takes."""

import subprocess
from pathlib import Path

import pytest

from tests.support.configs import unchecked
from vae_cli.distributed import slurm
from vae_cli.sweeps.slurm_script import script

FILE = Path("/sweep/.slurm/array1.json")


def request(*overrides: str, tasks: int = 3, earlier: str | None = None) -> dict[str, str]:
    """The options of sbatch in a script that bash accepts."""
    config = unchecked("cluster=slurm", "hydra.sweep.dir=/sweep", "trainer.accelerator=cpu", *overrides)
    text = script(config, FILE, tasks, earlier)
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""
    lines = (line.removeprefix("#SBATCH --") for line in text.splitlines() if line.startswith("#SBATCH"))
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_the_request_is_that_of_the_group_cluster() -> None:
    resources = ["cluster.memory=1.5", "cluster.cpus=3", "cluster.time=9", "cluster.notice=60", "cluster.parallel=2"]
    asked = request(*resources, "cluster.partition=main", "trainer.num_nodes=2", "trainer.devices=4")
    assert asked | {"job-name": ""} == {
        "job-name": "",
        "array": "0-2%2",
        "output": "/sweep/.slurm/%A_%a.log",
        "open-mode": "append",
        "requeue": "",
        "time": "9",
        "signal": "USR2@60",
        "mem": "1536M",
        "nodes": "2",
        "ntasks-per-node": "4",
        "cpus-per-task": "3",
        "partition": "main",
    }


def test_options_of_the_user_come_last() -> None:
    asked = request("cluster.options=['--mem=0','--hold']", earlier="17")
    assert (asked["mem"], asked["hold"], asked["dependency"]) == ("0", "", "afterany:17")
    assert request("cluster.options=['--dependency=singleton']", earlier="17")["dependency"] == "singleton"


def test_a_gpu_for_each_process() -> None:
    assert "gpus-per-node" not in request("trainer.devices=2")
    assert request("trainer.devices=2", "trainer.accelerator=gpu")["gpus-per-node"] == "2"
    assert request("trainer.devices=[1,3]", "trainer.accelerator=gpu")["gpus-per-node"] == "2"
    assert "gpus-per-node" not in request("trainer.accelerator=gpu", "cluster.gpus=0")


def test_lines_of_the_user_run_before_the_job() -> None:
    config = unchecked("cluster=slurm", 'cluster.setup=["module load cuda"]')
    lines = script(config, FILE, 1).splitlines()
    assert lines.index("module load cuda") == len(lines) - 2 and lines[-1].startswith("srun ")


@pytest.mark.parametrize(
    ("shown", "jobs"), [("MaxArraySize            = 250\nMaxDBDMsgs = 20\n", 250), ("", 1001), (None, 1001)]
)
def test_the_size_of_an_array(shown: str | None, jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "_output", lambda *command: shown)
    assert slurm.largest_array() == jobs
