"""A job of a sweep under hydra: what hydra's `run_job` does, without its six copies of the configuration."""

from __future__ import annotations

import pickle
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core import utils
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, env_override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_cli.config.series import without_hydra


def context_of(config: DictConfig) -> HydraContext:
    """The surroundings of a job whose process is not that of hydra.main; within a `session`."""
    return HydraContext(GlobalHydra.instance().config_loader(), Callbacks(config))


def run_job(task: TaskFunction, config: DictConfig, context: HydraContext) -> JobReturn:
    """Run a job in its folder, with its log, environment variables and callbacks.

    The copies take longer than the first epoch of a small model. Hydra itself runs a job that changes into its folder
    or keeps hydra's own files there.
    """
    if config.hydra.job.chdir or config.hydra.output_subdir is not None:
        return utils.run_job(task, config, "hydra.sweep.dir", "hydra.sweep.subdir", context)
    settings = HydraConfig.instance()
    outer, settings.cfg = settings.cfg, config  # pyright: ignore[reportAttributeAccessIssue]  # any mapping with a node
    try:
        folder = Path(config.hydra.sweep.dir, config.hydra.sweep.subdir).absolute()
        with open_dict(config.hydra):
            config.hydra.runtime.output_dir = str(folder)
        OmegaConf.set_readonly(config.hydra, True)
        folder.mkdir(parents=True, exist_ok=True)
        configure_log(config.hydra.job_logging, config.hydra.verbose)
        own = without_hydra(pickle.loads(pickle.dumps(config)))
        done = JobReturn(list(config.hydra.overrides.task), own, config, str(Path.cwd()), config.hydra.job.name)
        with env_override(config.hydra.job.env_set):
            _call(context.callbacks, task, config, own, done)
        return done
    finally:
        settings.cfg = outer


def _call(callbacks: Callbacks, task: TaskFunction, config: DictConfig, own: DictConfig, done: JobReturn) -> None:
    callbacks.on_job_start(config=config, task_function=task)
    try:
        done.return_value, done.status = task(own), JobStatus.COMPLETED
    except Exception as error:
        done.return_value, done.status = error, JobStatus.FAILED
    utils._flush_loggers()
    callbacks.on_job_end(config=config, job_return=done)
