"""Configurations of the jobs of a sweep, which a series makes in less time than hydra."""

from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from vae_cli.config.compose import Composer, session
from vae_cli.config.job_names import job_folders
from vae_cli.config.preflight import prepare_training
from vae_cli.config.series import Series, without_hydra
from vae_cli.config.sources import Sources
from vae_cli.errors import ConfigError

pytestmark = pytest.mark.usefixtures("workplace")
JOBS = [
    ["dataset=digits", "objective.beta=2", "seed=1"],
    ["dataset=digits", "objective.beta=3", "seed=1", "network.hidden=[8,4]"],
    ["dataset=digits", "posterior=iaf", "+callbacks.mine._target_=torch.nn.Identity"],
    ["dataset=digits", "objective.beta=2", "name='a b'", "logger=[csv,tensorboard]"],
]


def test_a_job_is_as_hydra_composes_it() -> None:
    composer = Composer("train", Sources.find())
    with session():
        series = Series(composer, composer.compose)
        for job in [*JOBS, *JOBS]:
            ours, theirs = series.config(job), composer.compose(job)
            for config in (ours, theirs):
                assert series.choices(job)["posterior"] == config.hydra.runtime.choices["posterior"]
                without_hydra(config)
            assert OmegaConf.to_container(ours, resolve=True) == OmegaConf.to_container(theirs, resolve=True)


def test_jobs_share_no_values() -> None:
    composer = Composer("train", Sources.find())
    with session():
        series = Series(composer, composer.compose)
        series.config(JOBS[0]).network.hidden.append(99)
        assert 99 not in series.config(JOBS[0]).network.hidden


def test_a_fault_is_explained_as_for_a_single_run() -> None:
    composer = Composer("train", Sources.find())
    with session(), pytest.raises(ConfigError, match=r"posterior=nothing: no such option \(command line\)"):
        Series(composer, composer.compose).config(["posterior=nothing"])


@pytest.mark.parametrize("own", [[], ["hydra.job.config.override_dirname.item_sep=-"]])
def test_the_folders_of_jobs_are_those_of_hydra(own: list[str]) -> None:
    composer = Composer("train", Sources.find())
    with session():
        shared = ["hydra.sweep.dir=all", *own]
        series = Series(composer, composer.compose)
        theirs = [series.config([*shared, *job]).hydra.sweep.subdir for job in JOBS]
        assert job_folders(composer.compose(shared), JOBS) == theirs
        assert len(set(theirs)) == len(JOBS)
        assert job_folders(composer.compose(["hydra.sweep.subdir=${seed}"]), JOBS) == []
    assert not Path("all").exists()


@pytest.mark.parametrize(
    "line",
    [
        "objective=elbo,infovae seed=range(0,3)",
        "sweep=beta",
        "hparams_search=optuna name=tuned",
        "hydra.mode=MULTIRUN seed=1,2",
    ],
)
def test_the_configuration_of_a_sweep_is_as_hydra_composes_it(line: str) -> None:
    common = ["dataset=digits", "hydra.run.dir=run", "hydra.sweep.dir=sweep"]
    prepared = prepare_training(["-m", *common, *line.split()])
    with session():
        given = [argument for argument in prepared.arguments if argument != "-m"]
        hydra = GlobalHydra.instance().hydra
        assert prepared.sweep is not None and hydra is not None
        expected = hydra.compose_config("train", given, RunMode.MULTIRUN)
    ours, theirs = (OmegaConf.to_container(config, resolve=False) for config in (prepared.sweep, expected))
    assert ours == theirs
