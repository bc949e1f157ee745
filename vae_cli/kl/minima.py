"""Local minima of a direction of KL, by descents from several starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy.optimize import minimize

from vae_cli.errors import UserError
from vae_cli.kl.directions import Direction

ALIKE = 1e-3
"""Starts that end closer than this, means in units of the scale, and log scales, have found one minimum."""


@dataclass(frozen=True)
class Minimum:
    """N(mean, scale^2), the loss there, and how many of the starts ended in it."""

    mean: float
    scale: float
    loss: float
    starts: int


def minima(direction: Direction, starts: int) -> list[Minimum]:
    """Local minima that descents from `starts` means, each with a narrow and a wide scale, end in; the lowest first."""
    low, high = direction.target.span()
    begins = product(np.linspace(low, high, starts), ((high - low) / 20, (high - low) / 4))
    ends = [end for begin in begins if (end := _descend(direction, *begin)) is not None]
    found: list[tuple[np.ndarray, float, int]] = []
    for end, loss in ends:
        for number, (other, lowest, count) in enumerate(found):
            if np.abs((end - other) / [math.exp(other[1]), 1.0]).max() < ALIKE:
                found[number] = (other, lowest, count + 1)
                break
        else:
            found.append((end, loss, 1))
    if not found:
        problem = f"no descent from starts={starts} has ended in a minimum"
        raise UserError(f"direction={direction.name}: {problem}; more starts, or a target with lighter tails")
    ordered = sorted(found, key=lambda one: one[1])
    return [Minimum(float(end[0]), math.exp(end[1]), loss, count) for end, loss, count in ordered]


def _descend(direction: Direction, mean: float, scale: float) -> tuple[np.ndarray, float] | None:
    """Where the descent from a start ends, (m, log s), if that is a minimum and no saddle."""

    def value_and_slope(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.from_numpy(parameters).requires_grad_()
        loss = direction.loss(at[0], at[1])
        (slope,) = torch.autograd.grad(loss, at)
        return loss.item(), slope.numpy()

    result = minimize(value_and_slope, [mean, math.log(scale)], jac=True, method="BFGS", options={"gtol": 1e-8})
    end = torch.from_numpy(result.x)
    curvature = torch.autograd.functional.hessian(lambda at: direction.loss(at[0], at[1]), end)
    if not np.isfinite(result.x).all() or np.abs(result.jac).max() > 1e-4 or torch.linalg.eigvalsh(curvature)[0] <= 0:
        return None
    return result.x, float(result.fun)
