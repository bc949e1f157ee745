"""Whole optimiser steps as CUDA graphs: a replay starts all kernels of a step at once."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from vae_cli.batch import Batch
from vae_cli.datasets.loader import Draw
from vae_cli.errors import first_line, warn

WARM_UP = 3
"""Steps of a batch size that run as they are before one is recorded: they allocate what the libraries keep."""


@dataclass(frozen=True)
class Graph:
    """A recorded step: it reads `draw`, `epoch` and `rates`, and writes `sums`.

    written: values of the rates on the device
    """

    graph: torch.cuda.CUDAGraph
    draw: Draw
    epoch: Tensor
    rates: list[Tensor]
    written: list[float]
    sums: Tensor

    def replay(self, draw: Draw, epoch: float, rates: list[float]) -> Tensor:
        """The step with another batch, epoch and learning rates of the parameter groups."""
        draw.start_noise()
        self.draw.index.copy_(draw.index)
        if self.draw.x is not None and draw.x is not None:
            self.draw.x.copy_(draw.x)
        self.epoch.fill_(epoch)
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
        take: an eager step, from (batch, epoch) to the sums of its terms
    """

    def __init__(self, take: Callable[[Batch, float | Tensor], Tensor], optimizer: Optimizer) -> None:
        self.take, self.optimizer = take, optimizer
        self.graphs: dict[int, Graph] = {}
        self.seen = Counter[int]()
        self.obstacle = _obstacle(optimizer)
        self._tell()

    def __call__(self, draw: Draw, epoch: float) -> Tensor:
        """The sums of the terms of a batch, after an optimiser step."""
        size = len(draw)
        if self.obstacle:
            return self.take(draw.batch(), epoch)
        if size not in self.graphs:
            self.seen[size] += 1
            if self.seen[size] < WARM_UP:
                return self.take(draw.batch(), epoch)
            if self.seen[size] == WARM_UP:
                return self._watched(draw, epoch)
            self._record(draw)
            return self(draw, epoch)
        return self.graphs[size].replay(draw, epoch, [group["lr"] for group in self.optimizer.param_groups])

    def _watched(self, draw: Draw, epoch: float) -> Tensor:
        """An eager step that finds out whether the host waits for the device in it."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                sums = self.take(draw.batch(), epoch)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        waits = [warning for warning in caught if "synchronizing CUDA operation" in str(warning.message)]
        if waits:
            self.obstacle = f"it waits for the GPU ({Path(waits[0].filename).name}, line {waits[0].lineno})"
            self._tell()
        return sums

    def _record(self, draw: Draw) -> None:
        """Keep a graph of a step with batches of this size; nothing runs while it is recorded."""
        groups, device = self.optimizer.param_groups, draw.index.device
        random_state = torch.cuda.get_rng_state(device)
        static = replace(draw, index=draw.index.clone(), x=None if draw.x is None else draw.x.clone())
        epoch = torch.zeros((), dtype=torch.float64, device=device)
        before = [(group["lr"], group["capturable"]) for group in groups]
        rates = [torch.tensor(rate, device=device) for rate, _ in before]
        graph, noise = torch.cuda.CUDAGraph(), draw.loader.generator
        graph.register_generator_state(noise)
        try:
            for group, rate in zip(groups, rates, strict=True):
                group["lr"], group["capturable"] = rate, True
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                sums = self.take(static.read(), epoch)
            self.graphs[len(draw)] = Graph(graph, static, epoch, rates, [rate for rate, _ in before], sums)
        except RuntimeError as error:
            self.obstacle = f"the library refuses: {first_line(error)}"
            self._tell()
            # generators stay in a capture that has failed; another state frees them
            for generator in (torch.cuda.default_generators[torch.cuda.current_device()], noise):
                generator.graphsafe_set_state(torch.Generator(device).graphsafe_get_state())
            torch.cuda.set_rng_state(random_state, device)
        finally:
            for group, (rate, capturable) in zip(groups, before, strict=True):
                group["lr"], group["capturable"] = rate, capturable

    def _tell(self) -> None:
        if self.obstacle:
            warn(f"the step is not captured as a CUDA graph, for {self.obstacle}; its steps are eager")


def _obstacle(optimizer: Optimizer) -> str:
    """The reason why no step of an optimiser can be recorded, or an empty text."""
    if all(group.get("fused") and "capturable" in group for group in optimizer.param_groups):
        return ""
    return f"only a fused Adam or AdamW can be recorded, and {type(optimizer).__name__} is none (optimizer.fused=true)"
