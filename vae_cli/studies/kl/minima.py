"""Local minima of a direction of KL by descents from several starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from vae_cli.errors import UserError
from vae_cli.studies.kl.directions import Direction

ALIKE = 1e-3
"""Descents that end closer than this (means in units of the scale, log scales) share one minimum."""


@dataclass(frozen=True)
class Minimum:
    """N(mean, scale^2), its loss, and the number of starts that end in it."""

    mean: float
    scale: float
    loss: float
    starts: int


def minima(direction: Direction, starts: int) -> list[Minimum]:
    """Local minima, the lowest first, of descents from `starts` means, each with a narrow and a wide scale."""
    low, high = direction.target.span()
    centre, width = (low + high) / 2, (high - low) / 6

    def loss_at(at: Tensor) -> Tensor:
        return direction.loss(centre + width * at[0], math.log(width) + at[1])

    begins = product(np.linspace(-3, 3, starts), (math.log(0.3), math.log(1.5)))
    ends = [end for begin in begins if (end := _descend(loss_at, *begin)) is not None]
    found: list[tuple[np.ndarray, float, int]] = []
    for end, loss in ends:
        for number, (other, lowest, count) in enumerate(found):
            if np.abs((end - other) / [math.exp(other[1]), 1.0]).max() < ALIKE:
                found[number] = (other, lowest, count + 1)
                break
        else:
            found.append((end, loss, 1))
    if not found:
        problem = f"no descent from starts={starts} ended in a minimum"
        raise UserError(
            f"direction={direction.name}: {problem}; set a larger `starts`, or use a target with lighter tails"
        )
    ordered = sorted(found, key=lambda one: one[1])
    return [Minimum(centre + width * float(m), width * math.exp(v), loss, count) for (m, v), loss, count in ordered]


def _descend(loss_at: Callable[[Tensor], Tensor], *start: float) -> tuple[np.ndarray, float] | None:
    """The end ((m - centre) / width, log(s / width)) of the descent from a start, if it is a minimum and no saddle.

    Centre and width of the target make steps and tolerances independent of location and unit.
    """

    def value_and_gradient(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.from_numpy(parameters).requires_grad_()
        loss = loss_at(at)
        (gradient,) = torch.autograd.grad(loss, at)
        return loss.item(), gradient.numpy()

    result = minimize(value_and_gradient, start, jac=True, method="BFGS", options={"gtol": 1e-8})
    end, gradient = torch.from_numpy(result.x), torch.from_numpy(result.jac)
    own = torch.stack([end[1].exp(), torch.ones_like(end[1])])  # units of q: a mode may be far narrower than p
    if not end.isfinite().all() or not (gradient * own).abs().max() <= 1e-4:  # nor where a gradient is NaN
        return None
    curvature = torch.autograd.functional.hessian(loss_at, end) * torch.outer(own, own)
    if torch.linalg.eigvalsh(curvature)[0] <= 0:
        return None
    return result.x, float(result.fun)
