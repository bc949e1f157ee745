"""Launchers of jobs in a row and of SLURM arrays, and a sweeper for jobs that are checked already."""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, configure_log

from vae_cli.sweeps.composing import ComposingLauncher
from vae_cli.sweeps.hydra_job import run_job
from vae_cli.sweeps.slurm_launcher import Array


class Row(ComposingLauncher):
    """hydra/launcher=basic: runs jobs one after another."""

    in_a_row = True

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs, each after the end of the one before it."""
        self.begin()
        return [self._run(*job) for job in enumerate(job_overrides, initial_job_idx)]

    def _run(self, number: int, overrides: Sequence[str]) -> JobReturn:
        done = run_job(self.task, self.job(number, overrides), self.context)
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
