"""A batch of examples, which data, models and evaluation share. Shapes: B batch, *event the shape of one x."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vae_cli.distributed.shard import BatchShard


@dataclass(frozen=True)
class Batch:
    """x (B, *event) float; index (B,) int64, the position in the split; y (B,) int64 labels or None.

    share: which rows of a batch these are, where several processes train on it
    seen: whether the split is the one that is trained on
    """

    x: Float[Tensor, "B ..."]
    index: Int[Tensor, " B"]
    y: Int[Tensor, " B"] | None = None
    share: BatchShard | None = None
    seen: bool = False

    def __len__(self) -> int:
        return len(self.x)

    @property
    def total(self) -> int:
        """Examples in the batches of all processes."""
        return len(self) if self.share is None else self.share.total

    def split(self, size: int) -> Iterator[Batch]:
        """Parts of at most `size` examples, in order."""
        return (self.part(start, size) for start in range(0, len(self), size))

    def part(self, start: int, size: int) -> Batch:
        """At most `size` examples from `start` on."""
        part = slice(start, start + size)
        y = None if self.y is None else self.y[part]
        return Batch(self.x[part], self.index[part], y, seen=self.seen)

    def rows(self, chosen: Bool[Tensor, " B"]) -> Batch:
        """The examples where `chosen` (B,) is true."""
        y = None if self.y is None else self.y[chosen]
        return Batch(self.x[chosen], self.index[chosen], y, seen=self.seen)

    def to(self, device: torch.device) -> Batch:
        """This batch on another device."""
        y = None if self.y is None else self.y.to(device)
        return Batch(self.x.to(device), self.index.to(device), y, self.share, self.seen)


def first_batches(batches: Iterable[Batch], count: int) -> Iterator[Batch]:
    """Whole batches until they hold at least `count` examples."""
    found = 0
    for batch in batches:
        yield batch
        found += len(batch)
        if found >= count:
            return
