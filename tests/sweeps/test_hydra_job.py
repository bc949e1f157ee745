"""A job of a sweep runs as hydra itself runs it."""

import logging
import os
from collections.abc import Iterator
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.callbacks import Callbacks
from hydra.core import utils
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from vae_cli.config.compose import Composer, session
from vae_cli.config.sources import Sources
from vae_cli.sweeps.hydra_job import run_job

JOB = ["dataset=digits", "hydra.mode=MULTIRUN", "hydra.run.dir=run", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=job"]
JOB += ["+hydra.job.env_set.OF_THE_JOB=set"]
PLACE = ("hydra.sweep.dir", "hydra.sweep.subdir")


@pytest.fixture(autouse=True)
def closed_log() -> Iterator[None]:
    """Close the log of the job, which the next job of a process would do."""
    log = logging.getLogger()
    before = list(log.handlers)
    yield
    for handler in [one for one in log.handlers if one not in before]:
        log.removeHandler(handler)
        if isinstance(handler, MemoryHandler) and isinstance(handler.target, logging.Handler):
            handler.target.close()
        handler.close()


def context(config: DictConfig) -> HydraContext:
    return HydraContext(GlobalHydra.instance().config_loader(), Callbacks(config))


def seen(config: DictConfig) -> dict[str, Any]:
    """The values of a job that its task can read."""
    return {
        "config": OmegaConf.to_container(config, resolve=True),
        "hydra": OmegaConf.to_container(HydraConfig.get(), resolve=True),
        "folder": Path(HydraConfig.get().runtime.output_dir).is_dir(),
        "variable": os.environ["OF_THE_JOB"],
        "place": Path.cwd(),
    }


@pytest.mark.parametrize("more", [[], ["hydra.job.chdir=true", "hydra.output_subdir=.hydra"]])
def test_the_task_sees_what_it_sees_under_hydra(workplace: Path, more: list[str]) -> None:
    composer = Composer("train", Sources.find())
    with session():
        utils.setup_globals()
        ours, theirs = (composer.compose([*JOB, *more]) for _ in range(2))
        done, expected = run_job(seen, ours, context(ours)), utils.run_job(seen, theirs, *PLACE, context(theirs))
        assert done.return_value == expected.return_value
        assert done.cfg == expected.cfg
        assert (done.overrides, done.working_dir) == (expected.overrides, expected.working_dir)
    assert "OF_THE_JOB" not in os.environ and Path.cwd() == workplace


@pytest.mark.usefixtures("workplace")
def test_an_error_is_kept_until_someone_asks_for_the_value() -> None:
    def fail(config: DictConfig) -> None:
        raise ValueError(config.optimizer.lr)

    with session():
        utils.setup_globals()
        config = Composer("train", Sources.find()).compose(JOB)
        done = run_job(fail, config, context(config))
        assert not HydraConfig.initialized()
    with pytest.raises(ValueError, match=r"0\.001"):
        _ = done.return_value
