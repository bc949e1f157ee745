"""Blocks of batches: Lightning takes one block for a batch, so that its loop and the callbacks cost nothing a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import Protocol, runtime_checkable

from vae_cli.datasets.loader import BatchLoader, Draw
from vae_cli.distributed.process_group import all_reduce_max

SECONDS = 0.25
"""Duration of a block: signals and the clock of checkpoints are looked at between two blocks."""


@runtime_checkable
class ActsAtSteps(Protocol):
    """A callback that acts after some optimiser steps: a block ends there, so that `on_train_batch_end` is called."""

    def next_step(self, step: int) -> int:
        """The first step after `step` at which it acts."""
        ...


@dataclass(frozen=True)
class Block:
    """Batches `start` <= n < `stop` of an epoch, each before it is read.

    sizes: examples in each, of all processes together
    is_last: True if the epoch ends with them
    """

    draws: Iterator[Draw]
    start: int
    stop: int
    sizes: Sequence[int]
    is_last: bool

    def __iter__(self) -> Iterator[Draw]:
        return self.draws

    @property
    def total(self) -> int:
        """Examples in the block, of all processes."""
        return sum(self.sizes)

    def __len__(self) -> int:
        return self.stop - self.start


class BlockLoader:
    """The batches of `loader` in blocks of about a quarter of a second, which end with an optimiser step.

    It has no length, because a block is as long as the speed of those before it allows.

    Args:
        accumulate: batches of an optimiser step
        next_steps: functions from a step to the next one at which a block must end
    """

    def __init__(self, loader: BatchLoader, accumulate: int, next_steps: Sequence[Callable[[int], int]]) -> None:
        self.loader, self.accumulate, self.next_steps = loader, accumulate, next_steps
        self.steps_per_epoch = ceil(len(loader) / accumulate)
        self.sizes, self.window_weights = loader.sizes, loader.window_weights(accumulate)
        self.step_seconds = SECONDS  # of the last block: the first ones are single steps

    def state_dict(self) -> dict[str, int]:
        """The place of the first batch that has not been trained on."""
        return self.loader.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next pass continues there."""
        self.loader.load_state_dict(state)

    def completes_step(self, number: int) -> bool:
        """True if an optimiser step follows this batch of an epoch."""
        return (number + 1) % self.accumulate == 0 or number + 1 == len(self.loader)

    def __iter__(self) -> Iterator[Block]:
        """Blocks of one epoch; Lightning asks for each while the one before it has not begun."""
        draws = self.loader.draws()
        start, last = self.loader.batch, len(self.loader)
        while start < last:
            stop = min(last, self.accumulate * self._end(start // self.accumulate))
            yield Block(islice(draws, stop - start), start, stop, self.sizes[start:stop], stop == last)
            start = stop

    def _end(self, step: int) -> int:
        """The step of this epoch after which a block that begins at `step` ends: the first at which any rank needs it.

        Rank 0 alone has loggers, and each rank has a speed of its own.
        """
        before = self.loader.epoch * self.steps_per_epoch
        due = [following(before + step) - before for following in self.next_steps]
        own = min(step + max(1, int(SECONDS / self.step_seconds)), *due, self.steps_per_epoch)
        (last,) = all_reduce_max(-float(own), device=self.loader.device)
        return -int(last)
