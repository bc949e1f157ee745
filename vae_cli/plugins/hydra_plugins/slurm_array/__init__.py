"""Where hydra looks for launchers: in the packages of a namespace of its own."""

from importlib.util import find_spec

from hydra.core.config_store import ConfigStore

from vae_cli.sweeps.slurm_launcher import Array


class SlurmArray(Array):
    """hydra/launcher=submitit_slurm, in place of that of submitit's own plugin."""


if find_spec("submitit"):
    ConfigStore.instance().store(
        "submitit_slurm", {"_target_": f"{__name__}.SlurmArray"}, "hydra/launcher", provider="vae_cli"
    )
