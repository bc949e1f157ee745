"""Several models of one structure as one: `torch.func` stacks their parameters, and one call takes all their losses.

Shape legend: J models, B batch.
"""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from vae_cli.batch import Batch
from vae_cli.distributed.streams import Streams, streams_context
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives import Objective, Progress, Terms

TENSORS = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "annealing")
"""Attributes of a module that the values of `structure` do not hold, because they are stacked or computed apart."""


class Loss(nn.Module):
    """An objective and the model that it trains."""

    def __init__(self, model: LatentVariableModel, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch, progress: Progress) -> Terms:
        return self.objective(self.model, batch, progress)

    def factors(self, epoch: float) -> list[float]:
        """The factor of each weight that the objective anneals."""
        annealing, names = self.objective.annealing, self.objective.anneals
        return [annealing.factor(name, epoch) for name in names] if annealing else []


@dataclass
class Factors:
    """Annealing of J objectives: the present factor of each weight."""

    present: dict[str, Tensor]

    def factor(self, weight: str, epoch: float) -> Tensor:
        return self.present[weight]


def structure(loss: Loss) -> bytes:
    """Everything that losses in one stack share: all but the values of their tensors, numbers and annealings."""
    parts = []
    for path, part in loss.named_modules():
        own = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        tensors = [(name, tuple(value.shape), value.dtype, value.requires_grad) for name, value in own]
        rest = {n: v for n, v in vars(part).items() if n not in TENSORS and n not in numbers(part)}
        parts.append((path, type(part), tensors, sorted(numbers(part)), sorted(rest.items())))
    return pickle.dumps((parts, loss.objective.annealing is not None))


def numbers(module: nn.Module) -> dict[str, float]:
    """The attributes of a module that are real numbers, by the annotations of its class or by their values."""
    arguments = inspect.signature(type(module).__init__).parameters
    real = {name for name, argument in arguments.items() if "float" in str(argument.annotation).lower()}
    return {
        name: float(value)
        for name, value in vars(module).items()
        if isinstance(value, float) or (name in real and type(value) is int)
    }


class Stack:
    """Losses of one structure, whose parameters and buffers become rows of stacked ones.

    parameters, buffers: (J, ...) by name
    """

    def __init__(self, losses: Sequence[Loss]) -> None:
        self.losses, self.lead = tuple(losses), losses[0]
        self.parameters, self.buffers = stack_module_state(list(losses))
        self.names: tuple[str, ...] = ()
        self.numbers = {
            (path, name): torch.tensor(values)
            for path, part in self.lead.named_modules()
            for name in numbers(part)
            if len(set(values := [numbers(loss.get_submodule(path))[name] for loss in losses])) > 1
        }

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
        self, batches: Sequence[Batch], progresses: Sequence[Progress], streams: Streams
    ) -> tuple[Tensor, Tensor]:
        """Losses (J,), with gradients, and the means of loss and terms (J, T) of a batch of each model."""
        factors = torch.tensor([loss.factors(p.epoch) for loss, p in zip(self.losses, progresses, strict=True)])
        x, index = torch.stack([batch.x for batch in batches]), torch.stack([batch.index for batch in batches])
        labels = [batch.y for batch in batches if batch.y is not None]
        y = torch.stack(labels) if labels else None

        def one(
            parameters: Any, buffers: Any, values: list[Tensor], factors: Tensor, x: Tensor, index: Tensor, y: Any
        ) -> Any:
            with self._numbers(values, factors):
                batch = Batch(x, index, y, seen=batches[0].seen)
                terms = functional_call(self.lead, (parameters, buffers), (batch, progresses[0]))
            self.names = tuple(terms.metrics)
            return terms.loss, torch.stack([terms.loss, *terms.metrics.values()]).detach()

        values = [value.to(x.device) for value in self.numbers.values()]
        mapped = (0, 0, 0, 0, 0, 0, None if y is None else 0)
        with streams_context(streams):
            return vmap(one, mapped)(self.parameters, self.buffers, values, factors.to(x.device), x, index, y)

    def forget_gradients(self) -> None:
        """Begin a step."""
        for value in self.parameters.values():
            value.grad = None

    def lend_gradients(self) -> None:
        """Let the parameters of each loss have the gradients of its row, for the callbacks that see them."""
        for number, loss in enumerate(self.losses):
            for name, value in loss.named_parameters():
                gradient = self.parameters[name].grad
                value.grad = None if gradient is None else gradient[number]

    @contextmanager
    def _numbers(self, values: Sequence[Tensor], factors: Tensor) -> Iterator[None]:
        """Let the leading loss have the numbers of all, as values that `vmap` maps over."""
        objective = self.lead.objective
        places = [(self.lead.get_submodule(path), name) for path, name in self.numbers]
        before = [getattr(part, name) for part, name in places]
        annealing = objective.annealing
        try:
            for (part, name), value in zip(places, values, strict=True):
                setattr(part, name, value)
            if annealing:
                objective.annealing = Factors(dict(zip(objective.anneals, factors, strict=True)))  # pyright: ignore[reportAttributeAccessIssue]
            yield
        finally:
            for (part, name), value in zip(places, before, strict=True):
                setattr(part, name, value)
            objective.annealing = annealing
