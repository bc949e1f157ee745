"""Runs under hydra, from configurations that are composed: hydra.main and its launchers would compose them again."""

from collections.abc import Callable
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, run_job
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


def run_in_sweep(work: Callable[[DictConfig], Any], config: DictConfig) -> JobReturn:
    """The end of `work`, which runs as hydra's launchers run a job of a sweep; within a `session`."""
    return run_job(
        hydra_context=HydraContext(GlobalHydra.instance().config_loader(), Callbacks(config)),
        task_function=work,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
