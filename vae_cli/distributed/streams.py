"""The random streams of several models that take a step together: each model draws the noise that it draws alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class Streams:
    """A random stream for each of J models, in the place of torch's generator of a device."""

    def __init__(self, states: Sequence[Tensor], device: torch.device) -> None:
        self.own = generator_of(device)
        self.generators = [torch.Generator(device) for _ in states]
        self.source = self.stacked
        self.set_states(states)

    def set_states(self, states: Sequence[Tensor]) -> None:
        """Continue each stream from a state of torch's generator."""
        for generator, state in zip(self.generators, states, strict=True):
            generator.set_state(state)

    @property
    def states(self) -> list[Tensor]:
        """The state of each stream."""
        return [generator.get_state() for generator in self.generators]

    def draw(self, draw: Callable[[], Tensor]) -> Tensor:
        """A draw from each stream, as one value that `torch.vmap` maps over."""
        with torch._C._DisableFuncTorch():
            stacked = self.source(draw)
        mapped: Any = getattr(torch._C, "_functorch")  # noqa: B009 (its stubs leave it out)
        return mapped._add_batch_dim(stacked, 0, mapped.maybe_current_level())

    def stacked(self, draw: Callable[[], Tensor]) -> Tensor:
        """A draw from each stream, (J, ...)."""
        return torch.stack([self._from(generator, draw) for generator in self.generators])

    @contextmanager
    def drawn_by(self, source: Callable[[Callable[[], Tensor]], Tensor]) -> Iterator[None]:
        """Let `source` make the draws in the place of `stacked`."""
        self.source = source
        try:
            yield
        finally:
            self.source = self.stacked

    def _from(self, generator: torch.Generator, draw: Callable[[], Tensor]) -> Tensor:
        """A draw of torch's generator as if it were another one."""
        if self.own.device.type == "cpu":
            self.own.set_state(generator.get_state())
            drawn = draw()
            generator.set_state(self.own.get_state())
            return drawn
        own = self.own.graphsafe_get_state()
        self.own.graphsafe_set_state(generator.graphsafe_get_state())  # the state itself: a graph may record the draw
        try:
            return draw()
        finally:
            self.own.graphsafe_set_state(own)


_present: Streams | None = None
"""The streams of the step in progress, a module global because distributions draw without knowing of a step."""


def generator_of(device: torch.device) -> torch.Generator:
    """torch's own generator of a device."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    return torch.default_generator


@contextmanager
def streams_context(streams: Streams) -> Iterator[None]:
    """Draw from these streams."""
    global _present
    before, _present = _present, streams
    try:
        yield
    finally:
        _present = before


def from_each_stream(draw: Callable[[], Tensor]) -> Tensor:
    """draw(), once for each model of a step that several take together."""
    return draw() if _present is None else _present.draw(draw)
