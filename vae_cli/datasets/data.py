"""What a data set is once it has been read: three splits, what is known about them, and their loaders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.datasets.factors import Factors
from vae_cli.datasets.images import ImageFiles
from vae_cli.datasets.loader import BatchLoader
from vae_cli.datasets.noise import fixed_bernoulli, seed_of, threshold
from vae_cli.types import Binarize, Domain, Shape

if TYPE_CHECKING:
    from vae_cli.datasets.synthetic import Parameters

SplitName = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Split:
    """x (N, *event), uint8 (k of k/255), float32, or image files; y (N,) int64 or None; dynamic: x is a probability.

    source (N,): where each example stood in what was read, if not in this order.
    factors: what each example was generated from, where that is known.
    files: the file of each example, where it came from one of its own, relative to what was read.
    """

    x: Tensor | ImageFiles
    y: Tensor | None = None
    dynamic: bool = False
    source: Tensor | None = None
    factors: Factors | None = None
    files: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def event_shape(self) -> Shape:
        """The shape of one x."""
        return tuple(self.x.shape[1:])

    @property
    def rows(self) -> Tensor:
        """Where each example stood in the array, the files or the canonical split that it was read from, (N,)."""
        return torch.arange(len(self)) if self.source is None else self.source

    def select(self, index: Tensor) -> Split:
        """The examples at these positions."""
        y = None if self.y is None else self.y[index]
        factors = None if self.factors is None else self.factors.select(index)
        files = None if self.files is None else tuple(self.files[i] for i in index.tolist())
        return replace(self, x=self.x[index], y=y, source=self.rows[index], factors=factors, files=files)

    def to(self, device: torch.device) -> Split:
        """What is held in memory, on the device; image files stay where they are."""
        x = self.x.to(device) if isinstance(self.x, Tensor) else self.x
        return replace(self, x=x, y=None if self.y is None else self.y.to(device))

    def batches(self, chunks: Sequence[Tensor]) -> Iterator[Tensor]:
        """x at each chunk of positions, as stored, on the device of the chunk."""
        if isinstance(self.x, ImageFiles):
            yield from self.x.batches(chunks)
        else:
            for chunk in chunks:
                yield self.x.index_select(0, chunk)

    def binarised(self, mode: Binarize, seed: int) -> Split:
        """As `mode` says: left alone, marked to be drawn at each visit, drawn once with the seed, or thresholded."""
        if mode == "none":
            return self
        if mode == "dynamic":
            return replace(self, dynamic=True)
        if isinstance(self.x, ImageFiles):
            return replace(self, x=replace(self.x, binarize=mode, seed=seed))
        return replace(self, x=threshold(self.x) if mode == "threshold" else fixed_bernoulli(self.x, seed))


def sha256_of(*splits: Split) -> str:
    """SHA-256 over types, shapes and bytes of all arrays; over names and sizes of image files that are streamed."""
    total = sha256()
    for split in splits:
        total.update(b"dynamic" if split.dynamic else b"")
        for part in (split.x, split.y):
            if isinstance(part, ImageFiles):
                total.update(part.fingerprint())
            elif part is not None:
                total.update(f"{part.dtype} {tuple(part.shape)}".encode())
                total.update(part.contiguous().numpy().data)
    return total.hexdigest()


@dataclass
class Data:
    """A data set as delivered: after binarisation, split; `exact` is p(x) where it is known (float64, on the CPU)."""

    name: str
    domain: Domain
    event_shape: Shape
    train: Split
    val: Split
    test: Split
    classes: int | None = None
    exact: Distribution | None = None
    parameters: Parameters | None = None
    _resident: dict[tuple[SplitName, torch.device], Split] = field(default_factory=dict, repr=False)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of what is delivered: all three splits, after binarisation."""
        return sha256_of(self.train, self.val, self.test)

    def loader(
        self,
        split: SplitName,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
        device: torch.device,
        limit: int | None = None,
        rank: int = 0,
        processes: int = 1,
        whole: bool = False,
    ) -> BatchLoader:
        """Batches of a split, at most `limit` an epoch; what fits in memory moves to the device only once.

        Of several processes each gets its share of every batch, or, `whole`, of the batches.
        """
        resident = self._resident.get((split, device))
        if resident is None:
            resident = self._resident[split, device] = getattr(self, split).to(device)
        order = {"batch_size": batch_size, "seed": seed, "shuffle": shuffle, "limit": limit, "seen": split == "train"}
        return BatchLoader(resident, device=device, rank=rank, processes=processes, whole=whole, **order)

    def binarised(self, mode: Binarize, seed: int) -> Data:
        """Binary data, drawn once by `seed`; a dynamic binarisation redraws x of the training split alone.

        So validation and test data are the same in every epoch and run, whatever the batch size.
        """
        if mode == "none":
            return self
        later: Binarize = "static" if mode == "dynamic" else mode
        return replace(
            self,
            domain="binary",
            train=self.train.binarised(mode, seed_of("train", seed)),
            val=self.val.binarised(later, seed_of("val", seed)),
            test=self.test.binarised(later, seed_of("test", seed)),
            _resident={},
        )
