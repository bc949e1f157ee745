"""Configurations for tests, composed and checked as the commands do it."""

from omegaconf import DictConfig, OmegaConf

from vae_cli.config.check import check
from vae_cli.config.compose import Composer, session
from vae_cli.config.sources import Sources

SMALL = ("logger=none", "trainer.accelerator=cpu", "evaluate.samples=5")


def unchecked(*overrides: str) -> DictConfig:
    """A configuration as the command line gives it, before the checks."""
    composer = Composer("train", Sources.find())
    with session():
        return composer.compose(composer.tidy(overrides))


def composed(*overrides: str) -> DictConfig:
    """A small configuration that has passed the checks."""
    with session():
        config = Composer("train", Sources.find()).compose([*SMALL, *overrides])
    check(config)
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    return config
