"""The shard of a batch on each rank, its share of the noise, and the rows of the other ranks.

All ranks draw the noise of the whole batch from one random state and keep their rows, so that the noise does not depend
on the world size. A loss that compares the rows of a batch gathers them with their gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vae_cli.distributed.streams import from_each_stream


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
    before, _present = _present, share
    try:
        yield
    finally:
        _present = before


def seed_draws(seed: int) -> None:
    """Seed the CPU and the GPU in use; torch.manual_seed formats three tracebacks where CUDA has not started."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)


class RowNoise:
    """The noise of each example comes from a seed of its own, so that it depends on no other example of the batch."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds, self.draws = seeds, 0

    def draw(self, draw: Callable[[torch.Size], Tensor], shape: Sequence[int], axis: int) -> Tensor:
        """draw(shape), row by row of `axis`; each call continues the noise of every row."""
        one = torch.Size([*shape[:axis], 1, *shape[axis + 1 :]])
        self.draws += 1
        parts = []
        for seed in self.seeds:
            seed_draws((seed + self.draws) % 2**63)
            parts.append(draw(one))
        return torch.cat(parts, axis)


_noise: RowNoise | None = None
"""The noise of the batch that is scored, for the reason above."""


@contextmanager
def row_noise(seeds: Sequence[int]) -> Iterator[None]:
    """Draw the noise of each example of a batch from its seed; afterwards the random state is as before."""
    global _noise
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        before, _noise = _noise, RowNoise(seeds)
        try:
            yield
        finally:
            _noise = before


def draw_shard(draw: Callable[[torch.Size], Tensor], shape: Sequence[int], axis: int) -> Tensor:
    """draw(shape), where `axis` counts examples: this process's rows of a draw for the whole batch."""
    if _noise is not None and shape[axis] == len(_noise.seeds):
        return _noise.draw(draw, shape, axis)
    if _present is None or shape[axis] != _present.stop - _present.start:
        return from_each_stream(lambda: draw(torch.Size(shape)))
    whole = list(shape)
    whole[axis] = _present.total
    return draw(torch.Size(whole)).narrow(axis, _present.start, shape[axis])


def draw_rows(draw: Callable[[torch.Size], Tensor], count: int) -> Tensor:
    """draw((count,)), one row for each example: this process's rows of a draw for the whole batch."""
    if (share := _present) is None:
        return draw(torch.Size((count,)))
    with shard_context(None):
        whole = draw(torch.Size((share.total,)))
    return whole[share.start : share.start + count]


def own_rows(whole: Tensor, axis: int = 0) -> Tensor:
    """This process's rows of values for the whole batch."""
    return whole if _present is None else whole.narrow(axis, _present.start, _present.stop - _present.start)


def gather_rows(own: Tensor) -> Tensor:
    """The rows of the whole batch, from those of each process, in order; with gradients."""
    return own if _present is None else _gathered(own, [share.count for share in _shares(_present)])


def logsumexp_of_batch(own: Tensor) -> Tensor:
    """log sum exp over axis 1, which counts the examples of the whole batch, each process's in turn."""
    partial = own.logsumexp(1)
    if _present is None:
        return partial
    return _gathered(partial.unsqueeze(0), [min(share.count, 1) for share in _shares(_present)]).logsumexp(0)


def _shares(present: BatchShard) -> list[BatchShard]:
    return [BatchShard.of(present.total, rank, present.processes) for rank in range(present.processes)]


def _gathered(own: Tensor, counts: list[int]) -> Tensor:
    gather: Any = torch.compiler.disable(_Gather.apply)  # a collective inside the step is nothing to compile
    return gather(own, counts)


class _Gather(torch.autograd.Function):
    """The first counts[rank] rows of each rank, in the order of ranks.

    Each rank adds the gradient of its own loss. Where all ranks compute one loss of the whole batch and weigh it by
    their shares, the mean of the gradients over ranks is therefore the gradient of that loss.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, counts: list[int]) -> Tensor:
        ctx.rank, ctx.counts, ctx.rows = dist.get_rank(), counts, len(own)
        padded = own.new_zeros(max(counts), *own.shape[1:])
        padded[: counts[ctx.rank]] = own[: counts[ctx.rank]]
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, None]:
        total = grad_outputs[0].contiguous().clone()
        dist.all_reduce(total)
        start, count = sum(ctx.counts[: ctx.rank]), ctx.counts[ctx.rank]
        own = total.new_zeros(ctx.rows, *total.shape[1:])
        own[:count] = total[start : start + count]
        return own, None
