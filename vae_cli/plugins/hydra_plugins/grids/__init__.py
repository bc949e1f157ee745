"""Launchers of jobs in a row and of SLURM arrays, and a sweeper for jobs that are checked already."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from vae_cli.config.compose import Composer
from vae_cli.config.series import Series
from vae_cli.sweeps.hydra_job import run_job
from vae_cli.sweeps.slurm_launcher import Array


class Row(Launcher):
    """hydra/launcher=basic: runs jobs one after another; hydra's own launcher reads all files again for each."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config
        self.series = Series(Composer.of(config.hydra), partial(hydra_context.config_loader.load_sweep_config, config))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs, each after the end of the one before it."""
        setup_globals()
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        return [self._run(*job) for job in enumerate(job_overrides, initial_job_idx)]

    def _run(self, number: int, overrides: Sequence[str]) -> JobReturn:
        config = self.series.config(overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        done = run_job(self.task, config, self.context)
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)  # the log of the job has ended
        return done


class SlurmArray(Array):
    """Launches the jobs of a grid or a search: hydra/launcher=slurm_array."""


class CheckedSweeper(BasicSweeper):
    """hydra/sweeper=basic: runs a grid, each job of which vae-train has composed and checked."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Hydra would compose each job once more."""


def _register(group: str, name: str, kind: type, **settings: object) -> None:
    node = {"_target_": f"{__name__}.{kind.__name__}", **settings}
    ConfigStore.instance().store(name, node, group, provider="vae_cli")


_register("hydra/launcher", "basic", Row)
_register("hydra/launcher", "slurm_array", SlurmArray)
_register("hydra/sweeper", "basic", CheckedSweeper, max_batch_size=None, params=None)
