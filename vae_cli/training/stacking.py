"""Several models of one structure as one: `torch.func` stacks their parameters, and one call takes all their losses.

Shape legend: J models, B batch.
"""

from __future__ import annotations

import inspect
import io
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.utils._pytree import tree_map

from vae_cli.batch import Batch
from vae_cli.distributed.streams import Streams, streams_context
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives import Objective, Progress, Terms

APART = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "annealing")
"""Attributes of a module that `structure` takes apart."""


class Loss(nn.Module):
    """An objective and the model that it trains."""

    def __init__(self, model: LatentVariableModel, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch, progress: Progress) -> Terms:
        return self.objective(self.model, batch, progress)


def structure(loss: Loss) -> bytes:
    """All that losses of one stack have in common: everything but the values of tensors and of real numbers."""
    parts: list[object] = [(type(loss.objective.annealing), *_common(loss.objective.annealing))]
    for path, part in loss.named_modules():
        own = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        tensors = [(name, tuple(value.shape), value.dtype, value.requires_grad) for name, value in own]
        parts.append((path, type(part), tensors, *_common(part)))
    written = io.BytesIO()
    _Pickler(written, {part: path for path, part in loss.named_modules()}).dump(parts)
    return written.getvalue()


class _Pickler(pickle.Pickler):
    """Writes a module that another one refers to by its path, because its weights are those of one model."""

    def __init__(self, file: io.BytesIO, paths: dict[nn.Module, str]) -> None:
        super().__init__(file)
        self.paths = paths

    def persistent_id(self, obj: object) -> str | None:
        return self.paths[obj] if isinstance(obj, nn.Module) else None


def _common(part: object) -> tuple[list[str], list[tuple[str, Any]]]:
    """Names of the real numbers of a part, and its other attributes."""
    real = numbers(part)
    return sorted(real), sorted((n, v) for n, v in _attributes(part).items() if n not in real and n not in APART)


def _attributes(part: object) -> dict[str, Any]:
    return {} if part is None else vars(part)


def numbers(part: object) -> dict[str, float]:
    """The attributes of a part that are real numbers, by the annotations of its class or by their values."""
    arguments = inspect.signature(type(part).__init__).parameters
    real = {name for name, argument in arguments.items() if "float" in str(argument.annotation).lower()}
    return {
        name: float(value)
        for name, value in _attributes(part).items()
        if isinstance(value, float) or (name in real and type(value) is int)
    }


def _varying(parts: Sequence[object]) -> dict[str, Tensor]:
    """The real numbers in which parts differ, (J,)."""
    values = {name: [numbers(part)[name] for part in parts] for name in numbers(parts[0])}
    return {name: torch.tensor(each) for name, each in values.items() if len(set(each)) > 1}


class Stack:
    """Losses of one structure, whose parameters and buffers become rows of stacked ones.

    parameters, buffers: (J, ...) by name
    """

    def __init__(self, losses: Sequence[Loss]) -> None:
        self.losses, self.lead = tuple(losses), losses[0]
        self.parameters, self.buffers = stack_module_state(list(losses))
        self.names: tuple[str, ...] = ()
        self.ties = len(list(self.lead.named_parameters(remove_duplicate=False))) > len(self.parameters)
        paths = [path for path, _ in self.lead.named_modules()]
        numbers = {path: _varying([loss.get_submodule(path) for loss in losses]) for path in paths}
        varying = (
            {p: values for p, values in numbers.items() if values},
            _varying([o.objective.annealing for o in losses]),
        )
        self.device = next(iter(self.parameters.values())).device
        self.numbers, self.annealing = tree_map(lambda value: value.to(self.device), varying)

    def adopt(self) -> None:
        """Let the parameters and buffers of each loss be rows of the stacked ones."""
        for number, loss in enumerate(self.losses):
            for own, stacked in ((loss.named_parameters(), self.parameters), (loss.named_buffers(), self.buffers)):
                for name, value in own:
                    value.data = stacked[name].detach()[number]

    def release(self) -> None:
        """Give each loss parameters and buffers of its own again."""
        for loss in self.losses:
            for value in (*loss.parameters(), *loss.buffers()):
                value.data = value.detach().clone()

    def means(
        self, batches: Sequence[Batch], epochs: Sequence[float] | Tensor, examples: int, streams: Streams
    ) -> tuple[Tensor, Tensor]:
        """Losses (J,), with gradients, and the means of loss and terms (J, T) of a batch of each model."""
        labels = [batch.y for batch in batches if batch.y is not None]
        given: dict[str, Any] = {
            "x": torch.stack([batch.x for batch in batches]),
            "index": torch.stack([batch.index for batch in batches]),
            **({"y": torch.stack(labels)} if labels else {}),
        }
        epoch = torch.as_tensor(epochs, dtype=torch.float64, device=self.device)

        def one(state: Any, numbers: Any, annealing: Any, given: dict[str, Any], epoch: Tensor) -> Any:
            with self._given(numbers, annealing):
                inputs = Batch(**given, seen=batches[0].seen), Progress(epoch, examples)
                terms = functional_call(self.lead, state, inputs, tie_weights=self.ties)
            self.names = tuple(terms.metrics)
            return terms.loss, torch.stack([terms.loss, *terms.metrics.values()]).detach()

        with streams_context(streams):
            return vmap(one)((self.parameters, self.buffers), self.numbers, self.annealing, given, epoch)

    def forget_gradients(self) -> None:
        """Drop the gradients of the step before."""
        for value in self.parameters.values():
            value.grad = None

    def lend_gradients(self) -> None:
        """Let the parameters of each loss have the gradients of its row, for the callbacks that see them."""
        for number, loss in enumerate(self.losses):
            for name, value in loss.named_parameters():
                gradient = self.parameters[name].grad
                value.grad = None if gradient is None else gradient[number]

    @contextmanager
    def _given(self, numbers: dict[str, dict[str, Tensor]], annealing: dict[str, Tensor]) -> Iterator[None]:
        """Let the first loss have the numbers of all, as values that `vmap` maps over."""
        objective = self.lead.objective
        changes: list[tuple[nn.Module, str, object]] = [
            (self.lead.get_submodule(p), name, value) for p in numbers for name, value in numbers[p].items()
        ]
        if objective.annealing is not None and annealing:
            changes.append((objective, "annealing", replace(objective.annealing, **annealing)))
        before = [(part, name, getattr(part, name)) for part, name, _ in changes]
        try:
            for part, name, value in changes:
                setattr(part, name, value)
            yield
        finally:
            for part, name, value in before:
                setattr(part, name, value)
