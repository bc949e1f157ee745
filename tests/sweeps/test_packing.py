"""The number of jobs in a SLURM job, by the time that earlier runs took."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from vae_cli.runs.folder import RunFolder
from vae_cli.runs.overrides import Typed
from vae_cli.sweeps.packing import jobs_per_task


def packed(folder: Path, pack: object, jobs: int = 40, devices: object = 1, dataset: str = "digits") -> int:
    """The jobs in a task for a sweep of runs of three epochs."""
    trainer = {"num_nodes": 1, "devices": devices, "max_epochs": 3}
    config = OmegaConf.create({"cluster": {"pack": pack}, "trainer": trainer})
    runs = [RunFolder(folder / "sweep" / f"seed={seed}") for seed in range(jobs)]
    for run in runs:
        run.path.mkdir(parents=True, exist_ok=True)
        run.write_typed(Typed([], {"dataset": dataset}))
    return jobs_per_task(config, runs)


def earlier(folder: Path, seconds: float, epochs: int = 3, dataset: str = "digits", status: str = "done") -> None:
    """A run of an earlier sweep beside this one."""
    run = RunFolder(folder / "earlier" / f"{dataset}{seconds}")
    run.path.mkdir(parents=True)
    run.write_typed(Typed([], {"dataset": dataset}))
    run.write_results({"status": status, "wall_seconds": seconds, "train/epochs": epochs})


@pytest.fixture(autouse=True)
def outputs(workplace: Path) -> Path:
    return workplace


def test_a_number_is_taken_as_it_is(outputs: Path) -> None:
    assert packed(outputs, 7) == 7


def test_short_runs_fill_a_minute_by_the_median_of_their_kind(outputs: Path, capsys: pytest.CaptureFixture) -> None:
    assert packed(outputs, "auto") == 1
    assert "no run of this kind has ended yet" in capsys.readouterr().out
    for seconds in (5.0, 6.0, 700.0):
        earlier(outputs, seconds)
    earlier(outputs, 0.1, status="failed")
    earlier(outputs, 0.2, dataset="mnist")
    assert packed(outputs, "auto") == 10
    assert packed(outputs, "auto", jobs=4) == 4
    assert capsys.readouterr().out == ""


def test_other_epochs_count_in_proportion(outputs: Path) -> None:
    earlier(outputs, 100.0, epochs=30)
    assert packed(outputs, "auto") == 6


def test_a_long_run_is_alone(outputs: Path) -> None:
    earlier(outputs, 3600.0)
    assert packed(outputs, "auto") == 1


@pytest.mark.parametrize("devices", [2, [0, 1], "auto"])
def test_a_run_of_several_processes_is_alone(devices: object, outputs: Path) -> None:
    earlier(outputs, 1.0)
    assert packed(outputs, "auto", devices=devices) == 1
