"""One optimiser for the rows of stacked parameters whose models have equal settings and have taken as many steps."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn, optim

from vae_cli.training.engine import StepEngine, unchecked

if TYPE_CHECKING:
    from vae_cli.training.stacking import Stack

ELEMENTWISE = (
    optim.Adadelta, optim.Adagrad, optim.Adam, optim.Adamax, optim.AdamW, optim.ASGD, optim.NAdam, optim.RAdam,
    optim.RMSprop, optim.Rprop, optim.SGD,
)  # fmt: skip
"""Optimisers that treat each entry of a parameter by itself."""

COMMON = "step", "eta", "mu", "mu_product"
"""Their states that depend on settings and steps alone, so that rows have them in common; others have entries."""


def settings(engine: StepEngine) -> bytes:
    """The settings that fix the steps of an optimiser: engines with equal ones can have one optimiser."""
    (group,) = engine.optimizer.param_groups
    values = sorted((name, value) for name, value in group.items() if name not in ("params", "lr"))
    module, position = engine.module, engine.module.position
    schedule = module.schedule, module.base_rates, module.steps_per_epoch, position.start, position.end
    return pickle.dumps((engine.step, values, schedule))


class Lane:
    """The optimiser of rows `start` <= j < `stop` of a stack, with the states of the optimisers of its engines."""

    def __init__(self, engines: Sequence[StepEngine], stack: Stack, start: int) -> None:
        self.engines, self.rows = engines, slice(start, start + len(engines))
        self.stacked = [value for value in stack.parameters.values() if value.requires_grad]
        self.parameters = [nn.Parameter(value.detach()[self.rows]) for value in self.stacked]
        optimizer = engines[0].module.make_optimizer(self.parameters)
        self.optimizer = unchecked(optimizer) if engines[0].reads_each_step else optimizer
        (group,), (own,) = self.optimizer.param_groups, engines[0].optimizer.param_groups
        group.update({name: value for name, value in own.items() if name != "params"})
        losses = stack.losses[self.rows]
        self.owned = [[value for value in loss.parameters() if value.requires_grad] for loss in losses]
        for parameter, own in zip(self.parameters, zip(*self.owned, strict=True), strict=True):
            states = [engine.optimizer.state.get(value, {}) for engine, value in zip(engines, own, strict=True)]
            if states[0]:
                joined = {name: _joined(name, [state[name] for state in states]) for name in states[0]}
                self.optimizer.state[parameter] = joined

    @property
    def is_current(self) -> bool:
        """False once an engine's optimiser has forgotten its state, as it does where a phase begins."""
        return all(bool(engine.optimizer.state) == bool(self.optimizer.state) for engine in self.engines)

    def set_rates(self) -> None:
        """Set the learning rates of the next step."""
        lead = self.engines[0]
        lead.module.set_rates(self.optimizer, lead.step, lead.module.position)

    def step(self) -> None:
        """Take a step by the gradients of the stacked parameters."""
        for parameter, stacked in zip(self.parameters, self.stacked, strict=True):
            parameter.grad = None if stacked.grad is None else stacked.grad[self.rows]
        self.optimizer.step()

    def publish(self) -> None:
        """Let the state of each engine's optimiser be that of its row."""
        for number, (engine, own) in enumerate(zip(self.engines, self.owned, strict=True)):
            for parameter, value in zip(self.parameters, own, strict=True):
                if state := self.optimizer.state.get(parameter):
                    engine.optimizer.state[value] = {
                        name: part if name in COMMON or part is None else part[number] for name, part in state.items()
                    }

    def release(self) -> None:
        """Give each engine's optimiser a state of its own again."""
        for engine in self.engines:
            for value, state in engine.optimizer.state.items():
                engine.optimizer.state[value] = {
                    name: part.clone() if isinstance(part, Tensor) else part for name, part in state.items()
                }


def _joined(name: str, parts: Sequence[Any]) -> Any:
    """The states of this name of several models, stacked unless they are common."""
    if name in COMMON or parts[0] is None:
        return parts[0].clone() if isinstance(parts[0], Tensor) else parts[0]
    return torch.stack(list(parts))


def clip(stacked: Iterable[Tensor], limits: Tensor) -> None:
    """Clip the gradient of each model of a stack to its largest norm (J,), as `clip_grad_norm_` does."""
    gradients = [value.grad for value in stacked if value.grad is not None]
    if not gradients:
        return
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    factors = (limits / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factors.reshape(-1, *[1] * (gradient.dim() - 1)))
