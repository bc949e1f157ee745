"""Folders of a sweep's jobs: named by what varies, and those of earlier versions found again."""

import re
from pathlib import Path

import hydra
import pytest

from vae_cli.config.command_line import quote
from vae_cli.config.compose import session
from vae_cli.config.job_names import EXCLUDED, job_name, left_out
from vae_cli.config.preflight import prepare_training
from vae_cli.errors import ConfigError


def folders(*arguments: str, jobs: list[list[str]]) -> list[str]:
    """The folders that hydra gives the jobs of a sweep."""
    with session():
        line = f"{EXCLUDED}=[{','.join(map(quote, left_out(jobs)))}]"
        found = [hydra.compose("train", [*arguments, line, *job], return_hydra_config=True) for job in jobs]
        return [config.hydra.sweep.subdir for config in found]


def test_a_job_is_named_by_what_varies(workplace: Path) -> None:
    jobs = [["dataset=digits", f"objective.beta={beta}", "seed=0", "cluster.time=9"] for beta in (1, 2)]
    assert folders(jobs=jobs) == ["objective.beta=1", "objective.beta=2"]
    assert folders(jobs=[["dataset=digits", "seed=0"]]) == ["dataset=digits,seed=0"]
    assert folders(jobs=[["cluster.time=9"]]) == ["default"]


def test_a_job_of_an_earlier_version_keeps_its_folder(workplace: Path) -> None:
    earlier = Path("sweep/dataset=digits_seed=1-f41b6d00")
    jobs = [["dataset=digits", "seed=1"], ["dataset=digits", "seed=2"]]
    assert folders("hydra.sweep.dir=sweep", jobs=jobs) == ["seed=1", "seed=2"]
    earlier.mkdir(parents=True)
    assert folders("hydra.sweep.dir=sweep", jobs=jobs) == [earlier.name, "seed=2"]


def test_a_name_that_does_not_fit_has_a_hash() -> None:
    assert job_name("posterior=diagonal,seed=1") == "posterior=diagonal,seed=1"
    for overrides in ("dataset.path=a/b.npz", "network.hidden=[8]", "x=" + 200 * "a", "=\U0001f600", ".x=1"):
        name = job_name(overrides)
        assert "/" not in name and "[" not in name and len(name) < 120 and name[-9] == "-" and name[0] not in ".-+"


@pytest.mark.parametrize(("mode", "key"), [("train", "run"), ("multirun", "sweep")])
def test_the_name_of_a_run_ends_the_name_of_its_folder(mode: str, key: str, workplace: Path) -> None:
    with session():
        config = hydra.compose("train", ["name=first_try"], return_hydra_config=True)
    folder = Path(config.hydra[key].dir)
    assert folder.parts[-3] == mode and re.fullmatch(r"\d\d-\d\d-\d\d-\d{6}-first_try", folder.name)


@pytest.mark.parametrize("name", ["a/b", "..", "", "a b", 61 * "x"])
def test_a_name_is_part_of_a_folder(name: str, workplace: Path) -> None:
    with pytest.raises(ConfigError, match="expected a name of at most 60 letters"):
        prepare_training([f"name='{name}'"])


def test_a_sweep_has_one_name(workplace: Path) -> None:
    with pytest.raises(ConfigError, match="name=a,b: a sweep has one name"):
        prepare_training(["-m", "name=a,b"])
