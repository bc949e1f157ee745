"""Configurations and data of the benchmark."""

from __future__ import annotations

from functools import cache

from vae_cli.config.check import check
from vae_cli.config.compose import Composer, session
from vae_cli.config.schema import TrainConfig
from vae_cli.config.sources import Sources
from vae_cli.datasets import Data


def configure(*overrides: str) -> TrainConfig:
    """The default configuration without a logger."""
    with session():
        return check(Composer("train", Sources.find()).compose(["logger=none", *overrides]))


@cache
def load(*overrides: str) -> Data:
    """The data of a configuration."""
    return configure(*overrides).dataset.build().load()
