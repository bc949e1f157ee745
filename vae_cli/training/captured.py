"""Whole optimiser steps as CUDA graphs: a replay starts all kernels of a step at once."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from vae_cli.batch import Batch
from vae_cli.datasets.loader import Draw
from vae_cli.distributed.streams import generator_of
from vae_cli.errors import first_line, warn

WARM_UP = 3
"""Steps of a batch size that run as they are before one is recorded: they allocate what the libraries keep."""


@dataclass(frozen=True)
class Graph:
    """A recorded step of J models: it reads `draws`, `epochs` and `rates`, and writes `sums`.

    epochs: (J,)
    written: values of the rates on the device
    """

    graph: torch.cuda.CUDAGraph
    draws: Sequence[Draw]
    epochs: Tensor
    rates: list[Tensor]
    written: list[float]
    sums: Tensor

    def replay(self, draws: Sequence[Draw], epochs: Sequence[float], rates: Sequence[float]) -> Tensor:
        """The step with other batches, epochs and learning rates of the parameter groups."""
        for draw in draws:
            draw.start_noise()
        torch._foreach_copy_([own.index for own in self.draws], [draw.index for draw in draws])  # pyright: ignore[reportPrivateImportUsage]
        stored = [(own.x, draw.x) for own, draw in zip(self.draws, draws, strict=True)]
        for own, x in stored:
            if own is not None and x is not None:
                own.copy_(x)
        self.epochs.copy_(torch.tensor(epochs, dtype=torch.float64), non_blocking=True)
        for number, (tensor, rate) in enumerate(zip(self.rates, rates, strict=True)):
            if rate != self.written[number]:
                tensor.fill_(rate)
                self.written[number] = rate
        self.graph.replay()
        return self.sums.clone()


class CapturedSteps:
    """Takes steps by replaying CUDA graphs, one for each batch size.

    The first steps of a size run eagerly. A step that makes the host wait for the device cannot be recorded; all steps
    are eager then, and a warning says so. Draws continue the random state of the device as they do in eager steps.

    Args:
        take: an eager step of J models, from their batches and epochs to the sums of their terms
        optimizers: those that take a step in it
        streams: random streams from which it draws beside the device's own
    """

    def __init__(
        self,
        take: Callable[[Sequence[Batch], Sequence[float] | Tensor], Tensor],
        optimizers: Sequence[Optimizer],
        streams: Sequence[torch.Generator] = (),
    ) -> None:
        self.take, self.streams = take, streams
        self.graphs: dict[int, Graph] = {}
        self.seen = Counter[int]()
        self.groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self.obstacle = next(filter(None, map(_obstacle, optimizers)), "")
        self._tell()

    def __call__(self, draws: Sequence[Draw], epochs: Sequence[float]) -> Tensor:
        """The sums of the terms of a batch of each model, after an optimiser step."""
        size = len(draws[0])
        if graph := self.graphs.get(size):
            return graph.replay(draws, epochs, [group["lr"] for group in self.groups])
        self.seen[size] += 1
        if not self.obstacle and self.seen[size] > WARM_UP and self._record(draws):
            return self(draws, epochs)
        batches = [draw.batch() for draw in draws]
        if not self.obstacle and self.seen[size] == WARM_UP:
            return self._watched(batches, epochs)
        return self.take(batches, epochs)

    def _watched(self, batches: Sequence[Batch], epochs: Sequence[float]) -> Tensor:
        """An eager step that finds out whether the host waits for the device in it."""
        place = torch.tensor(epochs, dtype=torch.float64, device=batches[0].x.device)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                sums = self.take(batches, place)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        waits = [warning for warning in caught if "synchronizing CUDA operation" in str(warning.message)]
        if waits:
            self.obstacle = f"it waits for the GPU ({Path(waits[0].filename).name}, line {waits[0].lineno})"
            self._tell()
        return sums

    def _record(self, draws: Sequence[Draw]) -> bool:
        """Keep a graph of a step with batches of this size, if that can be; nothing runs while it is recorded."""
        device = draws[0].index.device
        static = [replace(one, index=one.index.clone(), x=None if one.x is None else one.x.clone()) for one in draws]
        epochs = torch.zeros(len(draws), dtype=torch.float64, device=device)
        before = [(group["lr"], group["capturable"]) for group in self.groups]
        rates = [torch.tensor(rate, device=device) for rate, _ in before]
        graph, streams = torch.cuda.CUDAGraph(), [*(draw.loader.generator for draw in draws), *self.streams]
        states = [(stream, stream.get_state()) for stream in (generator_of(device), *streams)]
        for stream in streams:
            graph.register_generator_state(stream)
        try:
            for group, rate in zip(self.groups, rates, strict=True):
                group["lr"], group["capturable"] = rate, True
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                sums = self.take([draw.read() for draw in static], epochs)
            self.graphs[len(draws[0])] = Graph(graph, static, epochs, rates, [rate for rate, _ in before], sums)
        except RuntimeError as error:
            self.obstacle = f"the library refuses: {first_line(error)}"
            self._tell()
            # generators stay in a capture that has failed; another state frees them
            for stream, state in states:
                stream.graphsafe_set_state(torch.Generator(device).graphsafe_get_state())
                stream.set_state(state)
        finally:
            for group, (rate, capturable) in zip(self.groups, before, strict=True):
                group["lr"], group["capturable"] = rate, capturable
        return not self.obstacle

    def _tell(self) -> None:
        if self.obstacle:
            warn(f"the step is not captured as a CUDA graph, for {self.obstacle}; its steps are eager")


def _obstacle(optimizer: Optimizer) -> str:
    """The reason why no step of an optimiser can be recorded, or an empty text."""
    if all(group.get("fused") and "capturable" in group for group in optimizer.param_groups):
        return ""
    return f"only a fused Adam or AdamW can be recorded, and {type(optimizer).__name__} is none (optimizer.fused=true)"
