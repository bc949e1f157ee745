"""One part of a data set: stored examples with labels, factors and files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

import torch
from torch import Tensor

from vae_cli.datasets.augmentation import Augmentation
from vae_cli.datasets.noise import fixed_bernoulli, threshold
from vae_cli.datasets.streamed import Streamed
from vae_cli.distributions.standardisation import Standardisation
from vae_cli.types import Binarize, Shape

SplitName = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Factors:
    """Values (N, F) int64 of F named factors, 0 <= values[:, k] < sizes[k], ascending where a factor is ordered."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    values: Tensor

    def select(self, index: Tensor | slice) -> Factors:
        """Factors of the examples at these positions."""
        return replace(self, values=self.values[index])


@dataclass(frozen=True)
class Split:
    """x (N, *event), uint8 (k of k/255), float32, or on disk; y (N,) int64 or None; dynamic: x is a probability.

    source (N,): position of each example in the data as read; None if the order is that of the data.
    factors: factors of each example; None if they are unknown.
    files: file of each example, relative to the folder that was read; None for data without such files.
    augmentation: of x in shuffled passes; None for x as it is.
    """

    x: Tensor | Streamed
    y: Tensor | None = None
    dynamic: bool = False
    source: Tensor | None = None
    factors: Factors | None = None
    files: tuple[str, ...] | None = None
    augmentation: Augmentation | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def event_shape(self) -> Shape:
        """The shape of one x."""
        return tuple(self.x.shape[1:])

    @property
    def rows(self) -> Tensor:
        """Position of each example in the array, the files or the canonical split that it was read from, (N,)."""
        return torch.arange(len(self)) if self.source is None else self.source

    def select(self, index: Tensor) -> Split:
        """The examples at these positions."""
        y = None if self.y is None else self.y[index]
        factors = None if self.factors is None else self.factors.select(index)
        files = None if self.files is None else tuple(self.files[i] for i in index.tolist())
        return replace(self, x=self.x[index], y=y, source=self.rows[index], factors=factors, files=files)

    def to(self, device: torch.device) -> Split:
        """The split with its arrays on the device; those on disk stay there."""
        x = self.x.to(device) if isinstance(self.x, Tensor) else self.x
        return replace(self, x=x, y=None if self.y is None else self.y.to(device))

    def batches(self, chunks: Sequence[Tensor]) -> Iterator[Tensor]:
        """x at each chunk of positions, as stored, on the device of the chunk."""
        if isinstance(self.x, Streamed):
            yield from self.x.batches(chunks)
        else:
            for chunk in chunks:
                yield self.x.index_select(0, chunk)

    def order(self, generator: torch.Generator) -> Tensor:
        """A permutation of the positions, (N,)."""
        if isinstance(self.x, Streamed):
            return self.x.order(generator)
        return torch.randperm(len(self), generator=generator)

    def standardised(self, units: Standardisation) -> Split:
        """The split as a model of standardised data sees it."""
        x = units.standardise(self.x) if isinstance(self.x, Tensor) else self.x.standardised(units)
        return replace(self, x=x)

    def binarised(self, mode: Binarize, seed: int) -> Split:
        """x unchanged, marked to be drawn at each visit, drawn once by the seed, or thresholded at 1/2."""
        if mode == "none":
            return self
        if mode == "dynamic":
            return replace(self, dynamic=True)
        if isinstance(self.x, Streamed):
            return replace(self, x=self.x.binarised(mode, seed))
        return replace(self, x=threshold(self.x) if mode == "threshold" else fixed_bernoulli(self.x, seed))


def sha256_of(*splits: Split) -> str:
    """SHA-256 over types, shapes and bytes of all arrays; over the fingerprint of data on disk.

    Arrays of float64 count in float32, so that standardisation does not change the hash of a table.
    """
    total = sha256()
    for split in splits:
        total.update(b"dynamic" if split.dynamic else b"")
        for part in (split.x, split.y):
            if isinstance(part, Streamed):
                total.update(part.fingerprint())
            elif part is not None:
                part = part.float() if part.dtype == torch.float64 else part
                total.update(f"{part.dtype} {tuple(part.shape)}".encode())
                total.update(part.contiguous().numpy().data)
    return total.hexdigest()
