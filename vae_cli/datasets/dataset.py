"""Base class of the data sets: configuration, split, binarisation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.datasets.arrays import events, floats
from vae_cli.datasets.columns import Column
from vae_cli.datasets.data import Data
from vae_cli.datasets.parameters import Parameters
from vae_cli.datasets.split import Split
from vae_cli.datasets.streamed import Streamed
from vae_cli.datasets.support import check_data
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.errors import UserError, counted, warn
from vae_cli.types import Binarize, Domain, HeldOut, OpenFraction, PositiveInt, Seed


@dataclass(frozen=True)
class Source:
    """The arrays as read, before examples are held back; test and val are None if the data have no such split.

    class_names: names of the labels 0, 1, ...; None if they have none
    columns: of a table, those that are no part of x too
    decimal: decimal sign of a table's text
    """

    domain: Domain
    train: Split
    test: Split | None = None
    exact: Distribution | None = None
    parameters: Parameters | None = None
    val: Split | None = None
    class_names: tuple[str, ...] | None = None
    columns: tuple[Column, ...] = ()
    decimal: Literal["point", "comma"] = "point"

    @property
    def classes(self) -> int | None:
        """One more than the largest label."""
        splits = [split for split in (self.train, self.val, self.test) if split is not None]
        labels = [split.y for split in splits if split.y is not None and len(split)]
        return int(max(y.max() for y in labels)) + 1 if labels else None


def hold_out(split: Split, size: int, seed: int) -> tuple[Split, Split]:
    """(the others, the last `size` of a seeded permutation); the others keep their order."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    kept, held = order[: len(split) - size], order[len(split) - size :]
    if isinstance(split.x, Streamed) and split.x.in_sequence:
        held = held.sort().values
    return split.select(kept.sort().values), split.select(held)


@dataclass(frozen=True, kw_only=True)
class Dataset(ABC):
    """A data set as configured.

    Args:
        batch_size: examples in a training batch
        val_size: validation examples, a number or a fraction of the training set, held out by a seeded permutation
        val_seed: seed of that permutation and of static binarisation
    """

    batch_size: PositiveInt
    val_size: HeldOut
    val_seed: Seed

    name: ClassVar[str]

    @abstractmethod
    def read(self) -> Source:
        """Read, generate or fetch the arrays."""

    def load(self) -> Data:
        """The data in three splits, equal in every run."""
        source = self.read()
        train, test = self._test_split(source)
        train, val = self._own_val(train, source.val) if source.val is not None else self._validation(train)
        return Data(
            name=self.name,
            domain=source.domain,
            event_shape=train.event_shape,
            train=train,
            val=val,
            test=test,
            classes=source.classes,
            exact=source.exact,
            parameters=source.parameters,
            class_names=source.class_names,
            columns=source.columns,
            decimal=source.decimal,
        )

    def _validation(self, train: Split) -> tuple[Split, Split]:
        """Training and validation examples; a fraction holds out at least one example and leaves at least one."""
        count, examples = self.val_size, len(train)
        if isinstance(count, float) and not 0 < count < 1:
            raise UserError(f"dataset.val_size={count}: a fraction lies between 0 and 1; a number of examples is whole")
        if isinstance(count, float):
            count = max(1, min(round(count * examples), examples - 1))
        if count >= examples:
            way = "use dataset.val_size=0" if examples == 1 else f"use at most {examples - 1}"
            raise UserError(
                f"dataset.val_size={self.val_size} leaves no training data: "
                f"{self.name} has {counted(examples, 'training example')}; {way}"
            )
        return hold_out(train, count, self.val_seed)

    def _own_val(self, train: Split, val: Split) -> tuple[Split, Split]:
        """The training examples, all of them, beside validation examples that the data bring."""
        brought = f"{self.name} brings {counted(len(val), 'validation example')}"
        if self.val_size == 0:
            raise UserError(
                f"dataset.val_size=0 asks for no validation data, but {brought}; "
                "use dataset.val_size=0.1, which does not apply to them, or remove them from the data"
            )
        if is_rank_zero():
            print(f"{brought}; dataset.val_size does not apply", flush=True)
        return train, val

    def _test_split(self, source: Source) -> tuple[Split, Split]:
        assert source.test is not None
        return source.train, source.test


@dataclass(frozen=True, kw_only=True)
class BinarizedDataset(Dataset):
    """Data in [0, 1] with optional binarisation.

    Args:
        binarize: dynamic (drawn at each visit), static (drawn once), threshold (x > 1/2) or none
        subset: training examples, drawn by val_seed; null: all
    """

    binarize: Binarize
    subset: PositiveInt | None = None

    def load(self) -> Data:
        """The data, split and binarised."""
        data = super().load()
        if self.subset is not None:
            data = replace(data, train=self._some(data.train, self.subset))
        if self.binarize != "none" and data.domain == "real":
            raise UserError(
                f"dataset.binarize={self.binarize} needs probabilities, but the data are real; "
                "use dataset.binarize=none, or dataset.domain=unit|levels if x lies there"
            )
        if data.domain == "binary":
            return data
        if self.binarize != "none":
            check_data(data, f"dataset {self.name}")  # before x becomes 0 or 1, which hides its values
        return data.binarised(self.binarize, self.val_seed)

    def _some(self, train: Split, size: int) -> Split:
        if size > len(train):
            raise UserError(
                f"dataset.subset={size}: {self.name} has {counted(len(train), 'training example')} beside "
                f"dataset.val_size={self.val_size}; use at most {len(train)}, or null for all"
            )
        return hold_out(train, len(train) - size, self.val_seed)[0]


@dataclass(frozen=True, kw_only=True)
class HeldOutDataset(BinarizedDataset):
    """Data that may have no test set.

    Args:
        test_fraction: fraction of the examples that is held out for testing where there is no test set
        test_seed: seed of that split
    """

    test_fraction: OpenFraction
    test_seed: Seed

    def _test_split(self, source: Source) -> tuple[Split, Split]:
        if source.test is not None:
            return source.train, source.test
        size = max(1, int(self.test_fraction * len(source.train)))
        if size >= len(source.train):
            problem = "has one example: there is none to train on beside the test example"
            raise UserError(f"{self.name} {problem}; 2 are needed")
        return hold_out(source.train, size, self.test_seed)


@dataclass(frozen=True, kw_only=True)
class OwnDataset(HeldOutDataset):
    """A user's own examples, whose domain the user states.

    Args:
        domain: the support of x, checked row by row: binary, levels (k/255), unit ([0, 1]) or real
        standardise: the model gets (x - mean) / standard deviation of the training rows; auto: for real (N, D) alone
    """

    domain: Domain
    standardise: bool | Literal["auto"] = False

    def load(self) -> Data:
        """The data, split, and standardised if that is asked for."""
        data = super().load()
        return data.standardised() if self.standardises(len(data.event_shape)) else data

    def standardises(self, event_dims: int) -> bool:
        """True if x of so many dimensions is standardised."""
        automatic = self.domain == "real" and event_dims == 1
        return automatic if self.standardise == "auto" else self.standardise

    def warn_of_bytes(self, where: str, *arrays: np.ndarray) -> None:
        """Warn where bytes of images are read as plain numbers."""
        images = (x for x in arrays if x.dtype == np.uint8 and x.ndim > 2)
        if self.domain == "real" and any(x.size and x.max() > 1 for x in images):
            warn(
                f"{where}: bytes of images are read as numbers from 0 to 255; dataset.domain=levels reads them as k/255"
            )

    def stored(self, array: np.ndarray, where: str) -> Tensor:
        """An array (N, ...) as a Split keeps it; UserError with the shape or the row at fault."""
        precise = self.standardises(array.ndim - 1)
        return events(array, self.domain, where, floats(array) if precise else np.float32)
