"""Chunks of a batch that fit in memory: after an out-of-memory error the work is repeated with half the size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from vae_cli.batch import Batch
from vae_cli.errors import out_of_memory, warn

T = TypeVar("T")


class AdaptiveChunks:
    """Number of rows (samples x images) of a trace held at a time; an out-of-memory error halves it for good.

    Args:
        count: the number at the start
        row_bytes: bytes of one row, see `estimators.row_bytes`
    """

    def __init__(self, count: int, row_bytes: int) -> None:
        self.count, self.row_bytes = count, row_bytes

    def map(self, batch: Batch, work: Callable[[Batch, int], T], most: int | None = None) -> Iterator[T]:
        """`work(part, rows)` for each part of a batch; a part has at most `rows` and at most `most` examples."""
        start = 0

        def size() -> int:
            return min(self.count, most or self.count)

        def part(rows: int) -> T:
            return work(batch.part(start, size()), rows)

        while start < len(batch):
            yield self._attempt(part)
            start += size()

    def _attempt(self, work: Callable[[int], T]) -> T:
        """`work(count)`; after an out-of-memory error it is repeated with half of `count` from one random state.

        The result equals the result of a run that starts with the smaller size.
        """
        before, cpu = self.count, torch.get_rng_state()
        gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        while True:
            try:
                result = work(self.count)
            except (MemoryError, RuntimeError) as error:
                if self.count == 1 or not out_of_memory(error):
                    raise
            else:
                break
            self.count //= 2  # not in the except clause, where the traceback would still hold the tensors
            torch.set_rng_state(cpu)
            if gpus:
                torch.cuda.set_rng_state_all(gpus)
                torch.cuda.empty_cache()
        if self.count < before:
            megabytes = -(-self.count * self.row_bytes // 2**20)
            warn(
                f"out of memory with {before:,} samples x images at a time; continues with {self.count:,} "
                f"(evaluate.memory_mb={megabytes} begins with as many)"
            )
        return result
