"""The launchers that compose the jobs of a sweep from files that hydra has read once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from hydra.core.utils import setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from vae_cli.config.compose import Composer
from vae_cli.config.series import Series


class ComposingLauncher(Launcher):
    """Composes the job of a number and a list of overrides; hydra's own launcher reads all files again for each.

    in_a_row: True if each job begins after the end of the one before it
    """

    in_a_row: ClassVar[bool] = False

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config
        self.series = Series(Composer.of(config.hydra), partial(hydra_context.config_loader.load_sweep_config, config))

    def begin(self) -> None:
        """Prepare hydra and the folder of the sweep."""
        setup_globals()
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)

    def job(self, number: int, overrides: Sequence[str]) -> DictConfig:
        """The configuration of a job, with its hydra node."""
        config = self.series.config(overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config
