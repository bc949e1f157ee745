"""A run or a sweep under hydra, from a configuration that is checked: hydra.main would compose it twice more."""

from collections.abc import Callable
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log, run_job
from hydra.types import HydraContext, TaskFunction
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


def run_sweep(task: TaskFunction, config: DictConfig) -> None:
    """Run a sweep by hydra's sweeper and launcher, with hydra's log and callbacks; `task` runs each job."""
    with session():
        callbacks, name = Callbacks(config), config.hydra.job.config_name
        configure_log(config.hydra.hydra_logging, config.hydra.verbose)
        callbacks.on_multirun_start(config=config, config_name=name)
        context = HydraContext(GlobalHydra.instance().config_loader(), callbacks)
        sweeper = Plugins.instance().instantiate_sweeper(config=config, hydra_context=context, task_function=task)
        sweeper.sweep(arguments=list(config.hydra.overrides.task))
        callbacks.on_multirun_end(config=config, config_name=name)
