"""Data sets of a plug-in that are not what they say, or say nothing before they are loaded."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from vae_cli.datasets import Data, Split
from vae_cli.datasets.dataset import HeldOutDataset, Source
from vae_cli.types import Domain

HERE = Path(__file__).parent
PLUGIN = {"VAE_PLUGINS": "strange", "PYTHONPATH": f"{HERE.parents[2]}{os.pathsep}{HERE}"}
"""The environment in which a command finds the classes below, as `strange.Real` and so on."""


def table(low: float, high: float) -> Split:
    return Split(low + (high - low) * torch.rand(200, 4, generator=torch.Generator().manual_seed(0)))


@dataclass(frozen=True, kw_only=True)
class Real(HeldOutDataset):
    """Real values, of which the class says nothing."""

    name: ClassVar[str] = "real"

    def read(self) -> Source:
        return Source("real", table(-3, 3))


@dataclass(frozen=True, kw_only=True)
class Claims(HeldOutDataset):
    """Real values that class and data claim to lie in [0, 1]."""

    name: ClassVar[str] = "claims"
    domain: ClassVar[Domain] = "unit"

    def read(self) -> Source:
        return Source(self.domain, table(0, 16))


@dataclass(frozen=True, kw_only=True)
class Binary(HeldOutDataset):
    """Real values; only the class says that they are binary."""

    name: ClassVar[str] = "binary"
    domain: ClassVar[Domain] = "binary"

    def read(self) -> Source:
        return Source("real", table(-3, 3))


@dataclass(frozen=True, kw_only=True)
class TestOnly(HeldOutDataset):
    """Binary values but for one of the test split, which the class makes without the help of ours."""

    name: ClassVar[str] = "test_only"

    def read(self) -> Source:
        raise NotImplementedError

    def load(self) -> Data:
        x = (table(0, 1).x > 0.5).float()
        bad = x.clone()
        bad[7, 1] = 0.25
        return Data(self.name, "binary", (4,), Split(x), Split(x), Split(bad))
