"""The launcher of SLURM arrays, in hydra's namespace package for plugins."""

from importlib.util import find_spec

from hydra.core.config_store import ConfigStore

from vae_cli.sweeps.slurm_launcher import Array


class SlurmArray(Array):
    """hydra/launcher=submitit_slurm; replaces the launcher of submitit's plugin."""


if find_spec("submitit"):
    ConfigStore.instance().store(
        "submitit_slurm", {"_target_": f"{__name__}.SlurmArray"}, "hydra/launcher", provider="vae_cli"
    )
