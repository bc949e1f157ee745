"""The sweeper of searches, in hydra's namespace package for plugins."""

from importlib.util import find_spec

from hydra.core.config_store import ConfigStore

from vae_cli.sweeps.optuna_sweeper import Search


class OptunaSearch(Search):
    """The sweeper that hydra/sweeper=optuna names."""


if find_spec("optuna"):
    node = {
        "_target_": f"{__name__}.OptunaSearch",
        "_recursive_": False,
        "n_trials": 20,
        "n_jobs": None,
        "sampler": {"_target_": "optuna.samplers.TPESampler", "seed": 0},
        "params": {},
    }
    ConfigStore.instance().store("optuna", node, "hydra/sweeper", provider="vae_cli")
