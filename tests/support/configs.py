"""Configurations for tests, composed and checked as the commands do it."""

from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_cli.config.check import check
from vae_cli.config.compose import Composer, session
from vae_cli.config.schema import TrainConfig, plain
from vae_cli.config.sources import Sources

SMALL = ("logger=none", "trainer.accelerator=cpu", "evaluate.samples=5")


def unchecked(*overrides: str) -> DictConfig:
    """A configuration as the command line gives it, before the checks."""
    composer = Composer("train", Sources.find())
    with session():
        return composer.compose(composer.tidy(overrides))


def composed(*overrides: str) -> TrainConfig:
    """A small configuration that has passed the checks."""
    with session():
        return check(Composer("train", Sources.find()).compose([*SMALL, *overrides]))


def mapping(*overrides: str) -> DictConfig:
    """The configuration as the mapping that config.yaml holds."""
    return OmegaConf.create(plain(composed(*overrides)))


def changed(config: TrainConfig, **trainer: Any) -> TrainConfig:
    """With other values of trainer's keys."""
    return replace(config, trainer=replace(config.trainer, **trainer))
