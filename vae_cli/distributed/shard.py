"""The shard of a batch on each rank, and its share of the noise.

All ranks draw the noise of the whole batch from one random state and keep their rows, so that the noise does not depend
on the world size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class BatchShard:
    """Rows start <= n < stop of a batch of `total`, of one of `processes`.

    count: how many of them count; 0 for a row that stands in where there are fewer rows than processes
    """

    start: int
    stop: int
    total: int
    count: int
    processes: int

    @classmethod
    def of(cls, total: int, rank: int, processes: int) -> BatchShard:
        """The shard of a rank; sizes differ by at most one row.

        >>> [(s.start, s.stop, s.count) for s in (BatchShard.of(5, rank, 2) for rank in (0, 1))]
        [(0, 2, 2), (2, 5, 3)]
        >>> BatchShard.of(1, 0, 2).count, BatchShard.of(1, 0, 2).start, BatchShard.of(1, 1, 2).count
        (0, 0, 1)
        """
        start, stop = rank * total // processes, (rank + 1) * total // processes
        if start == stop:
            return cls(0, 1, total, 0, processes)
        return cls(start, stop, total, stop - start, processes)

    @property
    def weight(self) -> float:
        """Weight of this shard's mean: the mean over ranks is then the mean over the batch."""
        return self.count * self.processes / self.total


_present: BatchShard | None = None
"""The shard of the training step in progress, a module global because distributions draw without knowing of a batch."""


@contextmanager
def shard_context(share: BatchShard | None) -> Iterator[None]:
    """Draw noise for the whole batch to which this shard belongs."""
    global _present
    _present = share
    try:
        yield
    finally:
        _present = None


def draw_shard(draw: Callable[[torch.Size], Tensor], shape: Sequence[int], axis: int) -> Tensor:
    """draw(shape), where `axis` counts examples: this process's rows of a draw for the whole batch."""
    if _present is None or shape[axis] != _present.stop - _present.start:
        return draw(torch.Size(shape))
    whole = list(shape)
    whole[axis] = _present.total
    return draw(torch.Size(whole)).narrow(axis, _present.start, shape[axis])
