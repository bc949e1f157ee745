"""Whether this machine has what a run's trainer asks for, before anything of the run is written."""

from __future__ import annotations

import logging
import warnings

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig, OmegaConf

from vae_cli.errors import ConfigError


def check(trainer: DictConfig) -> pl.Trainer:
    """Refuse an accelerator, devices or a precision that Lightning does not take here; the Trainer that was tried."""
    devices = trainer.get("devices", 1)
    quiet = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    level, quiet.level = quiet.level, logging.ERROR
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they tell is refused below
            found = pl.Trainer(
                accelerator=trainer.accelerator,
                devices=list(devices) if OmegaConf.is_list(devices) else devices,
                precision=trainer.precision,
                plugins=[LightningEnvironment()],
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
    except Exception as error:  # Lightning has no one class for this
        reason = " ".join(str(error).split())
        asked = f"trainer.accelerator={trainer.accelerator} trainer.devices={devices}"
        remedy = "use trainer.accelerator=auto trainer.devices=1"
        raise ConfigError(f"{asked}: this machine does not have it ({reason}); {remedy}") from error
    finally:
        quiet.level = level
    if found.precision != trainer.precision:
        way = "take trainer.precision=32-true; a run of that precision goes on where there is one"
        raise ConfigError(f"trainer.precision={trainer.precision}: needs a GPU to compute on; {way}")
    return found
