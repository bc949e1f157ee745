"""A run or a sweep under hydra; hydra.main would compose its configuration twice more, or once more."""

from collections.abc import Callable, Sequence
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import run_job
from hydra.types import HydraContext
from omegaconf import DictConfig

from vae_cli.config.compose import session


def run_composed(work: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    """The value of `work`, which runs as the task of hydra.main does: with the run's folder, log and callbacks."""
    with session():
        callbacks, name = Callbacks(config), config.hydra.job.config_name
        callbacks.on_run_start(config=config, config_name=name)
        context = HydraContext(GlobalHydra.instance().config_loader(), callbacks)
        done = run_job(work, config, "hydra.run.dir", None, context)
        callbacks.on_run_end(config=config, config_name=name, job_return=done)
        return done.return_value


def run_sweep(task: Callable[[DictConfig], Any], root: str, overrides: Sequence[str]) -> None:
    """Run a sweep by hydra's sweeper and launcher.

    Args:
        task: of each job
        root: name of the root configuration
    """
    with session():
        found = GlobalHydra.instance().hydra
        assert found is not None
        found.multirun(root, task, [*overrides, "hydra.mode=MULTIRUN"])
