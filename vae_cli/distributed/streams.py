"""The random streams of several models that take a step together: each model draws the noise that it draws alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class Streams:
    """The states of torch's generator of a device, one for each model, which draws advance."""

    def __init__(self, states: Sequence[Tensor], device: torch.device) -> None:
        self.states = list(states)
        self.generator = generator_of(device)

    def draw(self, draw: Callable[[], Tensor]) -> Tensor:
        """A draw from each stream, as one value that `torch.vmap` maps over."""
        parts = []
        with torch._C._DisableFuncTorch():
            for number, state in enumerate(self.states):
                self.generator.set_state(state)
                parts.append(draw())
                self.states[number] = self.generator.get_state()
            stacked = torch.stack(parts)
        mapped: Any = getattr(torch._C, "_functorch")  # noqa: B009 (its stubs leave it out)
        return mapped._add_batch_dim(stacked, 0, mapped.maybe_current_level())


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
