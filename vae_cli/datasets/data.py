"""A data set in memory: three splits, their description, and their loaders."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Unpack

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.datasets.columns import Column
from vae_cli.datasets.loader import BatchLoader, Order
from vae_cli.datasets.noise import seed_of
from vae_cli.datasets.parameters import Parameters
from vae_cli.datasets.split import Split, SplitName, sha256_of
from vae_cli.distributions.standardisation import Standardisation
from vae_cli.types import Background, Binarize, Domain, Shape


@dataclass
class Data:
    """Three splits after binarisation; `exact` is p(x) where it is known (float64, on the CPU).

    Splits hold x in its own units; loaders deliver it standardised, where there is a standardisation.

    binarize, seed: how validation and test data were binarised
    background: colour behind transparent pixels of images
    columns: of a table, those that are no part of x too
    decimal: decimal sign of a table's text
    """

    name: str
    domain: Domain
    event_shape: Shape
    train: Split
    val: Split
    test: Split
    classes: int | None = None
    exact: Distribution | None = None
    parameters: Parameters | None = None
    standardisation: Standardisation | None = None
    class_names: tuple[str, ...] | None = None
    binarize: Binarize = "none"
    seed: int = 0
    background: Background = "white"
    columns: tuple[Column, ...] = ()
    decimal: Literal["point", "comma"] = "point"
    _resident: dict[tuple[SplitName, torch.device], Split] = field(default_factory=dict, repr=False, init=False)
    """Splits on a device; `replace` starts with none."""

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of what is delivered: all three splits, after binarisation."""
        return sha256_of(self.train, self.val, self.test)

    def loader(self, split: SplitName, **order: Unpack[Order]) -> BatchLoader:
        """Batches of a split; a split that fits in memory moves to the device only once."""
        key = split, order["device"]
        if key not in self._resident:
            self._resident[key] = self._seen(getattr(self, split)).to(order["device"])
        return BatchLoader(self._resident[key], seen=split == "train", **order)

    def _seen(self, split: Split) -> Split:
        """A split as the model sees it."""
        return split if self.standardisation is None else split.standardised(self.standardisation)

    def standardised(self) -> Data:
        """A copy whose loaders standardise by the statistics of the training split."""
        x = self.train.x
        return replace(self, standardisation=Standardisation.of(x if isinstance(x, Tensor) else x.sample()))

    def binarised(self, mode: Binarize, seed: int) -> Data:
        """Binary data, drawn once by `seed`; a dynamic binarisation redraws x of the training split alone.

        Validation and test data are then equal in every epoch and run, for any batch size.
        """
        if mode == "none":
            return self
        later: Binarize = "static" if mode == "dynamic" else mode
        return replace(
            self,
            domain="binary",
            binarize=later,
            seed=seed,
            train=self.train.binarised(mode, seed_of("train", seed)),
            val=self.val.binarised(later, seed_of("val", seed)),
            test=self.test.binarised(later, seed_of("test", seed)),
        )
