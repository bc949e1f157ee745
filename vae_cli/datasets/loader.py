"""Batches in an order that depends on (seed, epoch) only, and that a resumed run continues exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NotRequired, TypedDict, Unpack

import torch
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.datasets.augmentation import Augmentation
from vae_cli.datasets.noise import bernoulli, seed_of
from vae_cli.datasets.split import Split
from vae_cli.distributed.shard import BatchShard, shard_context


class Order(TypedDict):
    """The batches of a pass.

    Args:
        limit: largest number of batches in an epoch
        rank, processes: each rank gets its shard of every batch
        whole: each rank gets its shard of the list of batches instead
    """

    batch_size: int
    seed: int
    shuffle: bool
    device: torch.device
    limit: NotRequired[int | None]
    rank: NotRequired[int]
    processes: NotRequired[int]
    whole: NotRequired[bool]


class BatchLoader:
    """A sized iterable of Batch: x float32, index int64 and y int64 on the device; the last batch may be short.

    Each pass is one epoch: a new permutation if shuffled, and new noise if x is drawn at each visit.

    seen: True if the batches come from the training split
    sizes: examples of each batch, of all processes together
    """

    def __init__(self, split: Split, *, seen: bool = False, **order: Unpack[Order]) -> None:
        self.split, self.seen = split, seen
        self.batch_size, self.seed, self.shuffle = order["batch_size"], order["seed"], order["shuffle"]
        self.device = order["device"]
        self.rank, self.processes = order.get("rank", 0), order.get("processes", 1)
        limit, self.first = order.get("limit"), 0
        self.batches = -(-len(split) // self.batch_size)
        if limit is not None:
            self.batches = min(self.batches, limit)
        if order.get("whole"):
            self.first, end = (r * self.batches // self.processes for r in (self.rank, self.rank + 1))
            self.batches, self.processes = end - self.first, 1
        self.sizes = [min(self.batch_size, len(split) - self.batch_size * number) for number in range(self.batches)]
        self.epoch = 0
        self.batch = 0
        self._resuming = False
        self.generator = torch.Generator(device=self.device)

    def __len__(self) -> int:
        return self.batches

    def window_weights(self, accumulate: int) -> list[float]:
        """Weight of each batch's loss if a step averages `accumulate` batches.

        The weighted mean is the mean over all examples of a step, also for the last batches of an epoch.
        """
        steps = [self.sizes[start : start + accumulate] for start in range(0, len(self), accumulate)]
        return [accumulate * size / sum(step) for step in steps for size in step]

    def state_dict(self) -> dict[str, int]:
        """The epoch and the number of its batches delivered so far; after the last one, the next epoch."""
        over = self.batch == len(self)
        return {"epoch": self.epoch + over, "batch": 0 if over else self.batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next pass continues after the delivered batches."""
        self.epoch, self.batch = state["epoch"], state["batch"]
        self._resuming = True

    def __iter__(self) -> Iterator[Batch]:
        """Begin a pass; `epoch` and `batch` are those of its first batch."""
        return (draw.batch() for draw in self.draws())

    def draws(self) -> Iterator[Draw]:
        """Begin a pass; its batches before they are read."""
        if self.batch == len(self) or (self.batch > 0 and not self._resuming):
            self.epoch, self.batch = self.epoch + 1, 0
        self._resuming = False
        return self._pass()

    def _pass(self) -> Iterator[Draw]:
        chunks = self._order().split(self.batch_size)[self.first : self.first + len(self)][self.batch :]
        shares = [self._share(chunk) for chunk in chunks]
        if self.processes > 1:
            chunks = [chunk[share.start : share.stop] for chunk, share in zip(chunks, shares, strict=True)]
        held = isinstance(self.split.x, Tensor)
        stored = [None] * len(chunks) if held else self.split.batches(chunks)
        for chunk, share, x in zip(chunks, shares, stored, strict=True):
            number, self.batch = self.first + self.batch, self.batch + 1
            yield Draw(self, chunk, x, share, self.epoch if self.shuffle else 0, number)

    def _share(self, chunk: Tensor) -> BatchShard:
        return BatchShard.of(len(chunk), self.rank, self.processes)

    def _order(self) -> Tensor:
        if not self.shuffle:
            return torch.arange(len(self.split), device=self.device)
        generator = torch.Generator().manual_seed(seed_of("order", self.seed, self.epoch))
        return self.split.order(generator).to(self.device)


@dataclass(frozen=True)
class Draw:
    """A batch of a loader before it is read: the positions of its examples, and the seed of its noise.

    x: the stored examples; None where the split holds all of them on the device
    number: of the batch in its epoch
    """

    loader: BatchLoader
    index: Tensor
    x: Tensor | None
    share: BatchShard
    epoch: int
    number: int

    def __len__(self) -> int:
        return len(self.index)

    @property
    def augmentation(self) -> Augmentation | None:
        """The random changes of x in a shuffled pass."""
        return self.loader.split.augmentation if self.loader.shuffle else None

    def batch(self) -> Batch:
        """The batch, with the noise that its seed gives."""
        self.start_noise()
        return self.read()

    def start_noise(self) -> None:
        """Seed the loader's generator with the batch alone."""
        if self.loader.split.dynamic or self.augmentation:
            self.loader.generator.manual_seed(seed_of("noise", self.loader.seed, self.epoch, self.number))

    def read(self) -> Batch:
        """The batch, with the noise that the loader's generator gives now."""
        loader, split = self.loader, self.loader.split
        (x,) = split.batches([self.index]) if self.x is None else (self.x,)
        with shard_context(self.share):
            if self.augmentation:
                x = self.augmentation(x, loader.generator)
            if split.dynamic:
                x = bernoulli(x, loader.generator)
            elif x.dtype == torch.uint8:
                x = x.float().div_(255)
        y = None if split.y is None else split.y.index_select(0, self.index)
        return Batch(x, self.index, y, self.share if loader.processes > 1 else None, loader.seen)
