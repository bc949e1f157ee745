"""The launcher of SLURM arrays, and a sweeper for jobs that are checked already, in hydra's namespace package."""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore

from vae_cli.sweeps.slurm_launcher import Array


class SlurmArray(Array):
    """Launches the jobs of a grid or a search: hydra/launcher=slurm_array."""


class CheckedSweeper(BasicSweeper):
    """hydra/sweeper=basic: runs a grid, each job of which vae-train has composed and checked."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Hydra would compose each job once more."""


def _register(group: str, name: str, kind: type, **settings: object) -> None:
    node = {"_target_": f"{__name__}.{kind.__name__}", **settings}
    ConfigStore.instance().store(name, node, group, provider="vae_cli")


_register("hydra/launcher", "slurm_array", SlurmArray)
_register("hydra/sweeper", "basic", CheckedSweeper, max_batch_size=None, params=None)
