"""Normalising flows, from zuko, that start as the identity.

Shape legend: d latent dimensions, C context features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.distributions import Distribution

CHECKED = Distribution._validate_args
import zuko  # noqa: E402  it turns the checks of every distribution of the process off

Distribution.set_default_validate_args(CHECKED)


def density_flow(dims: int, steps: int, hidden: Sequence[int]) -> zuko.lazy.Flow:
    """A masked autoregressive flow from z (d,) to N(0, I), the order of dimensions reversed at every other step."""
    flow = zuko.flows.MAF(dims, transforms=steps, hidden_features=list(hidden))
    _start_as_identity(flow)
    return flow


def autoregressive_steps(dims: int, context: int, steps: int, hidden: Sequence[int]) -> zuko.lazy.LazyComposedTransform:
    """Steps z -> s(z_<j, h) z_j + m(z_<j, h): one pass forward, d backward (inverse autoregressive flow)."""
    orders: Any = [torch.arange(dims), torch.arange(dims).flip(0)]
    return _composed(
        zuko.flows.MaskedAutoregressiveTransform(dims, context, order=orders[k % 2], hidden_features=list(hidden))
        for k in range(steps)
    )


def coupling_steps(dims: int, context: int, steps: int, hidden: Sequence[int]) -> zuko.lazy.LazyComposedTransform:
    """Steps that move every other dimension by what the rest say: one pass in either direction."""
    parity: Any = torch.arange(dims) % 2
    return _composed(
        zuko.flows.GeneralCouplingTransform(dims, context, mask=parity == k % 2, hidden_features=list(hidden))
        for k in range(steps)
    )


def _composed(steps: Any) -> zuko.lazy.LazyComposedTransform:
    composed = zuko.lazy.LazyComposedTransform(*steps)
    _start_as_identity(composed)
    return composed


@torch.no_grad()
def _start_as_identity(flow: nn.Module) -> None:
    """Shift 0 and log-scale 0 at every step: the last layer of each network that gives them puts out zeros."""
    for step in flow.modules():
        if isinstance(network := getattr(step, "hyper", None), nn.Sequential):
            for parameter in network[-1].parameters():
                parameter.zero_()
        elif isinstance(step, zuko.flows.gaussianization.ElementWiseTransform):  # of a single dimension
            for parameter in step.parameters():
                parameter.zero_()
