"""Steps of a fused Adam on a CPU without the Python around their kernel, which takes as long for a small network."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks


def call_kernel(optimizer: Optimizer) -> None:
    """Let a fused Adam or AdamW, whose parameters are on a CPU, call its kernel: its steps are the same, bit by bit.

    torch's own step takes a first step and all those that need more than the kernel.
    """
    parameters = [value for group in optimizer.param_groups for value in group["params"]]
    if type(optimizer) in (Adam, AdamW) and len({value.dtype for value in parameters}) == 1:
        setattr(optimizer, "step", partial(_step, optimizer))  # noqa: B010


@torch.no_grad()
def _step(optimizer: Optimizer) -> None:
    groups = [_lists(optimizer, group) for group in optimizer.param_groups]
    if _is_watched(optimizer) or None in groups:
        type(optimizer).step(optimizer)
        return
    for group, lists in zip(optimizer.param_groups, groups, strict=True):
        if lists:
            _call(group, *lists)


def _is_watched(optimizer: Optimizer) -> bool:
    """True if hooks belong to a step, or the scale of its gradients."""
    own = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
    return any((*own, _global_optimizer_pre_hooks, _global_optimizer_post_hooks)) or hasattr(optimizer, "grad_scale")


def _lists(optimizer: Optimizer, group: dict[str, Any]) -> list[list[Tensor]] | None:
    """Parameters with a gradient, gradients, both moments and numbers of steps; None if a state is missing."""
    if not group["fused"] or group["amsgrad"]:
        return None
    rows = list[tuple[Tensor, ...]]()
    for parameter in group["params"]:
        if (gradient := parameter.grad) is not None:
            if not (state := optimizer.state.get(parameter)):
                return None
            rows.append((parameter, gradient, state["exp_avg"], state["exp_avg_sq"], state["step"]))
    return [list(one) for one in zip(*rows, strict=True)]


def _call(
    group: dict[str, Any],
    parameters: list[Tensor],
    gradients: list[Tensor],
    first: list[Tensor],
    second: list[Tensor],
    steps: list[Tensor],
) -> None:
    torch._foreach_add_(steps, 1)  # pyright: ignore[reportPrivateImportUsage]
    decoupled = group["decoupled_weight_decay"]
    kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_  # pyright: ignore[reportPrivateImportUsage]
    kernel(
        parameters, gradients, first, second, [], steps,
        lr=group["lr"], beta1=group["betas"][0], beta2=group["betas"][1], weight_decay=group["weight_decay"],
        eps=group["eps"], amsgrad=False, maximize=group["maximize"],
    )  # fmt: skip
