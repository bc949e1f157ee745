"""Fixed points that stand for a normal distribution where moments have no closed form."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

POINTS = 1024


@cache
@torch.inference_mode(False)  # they outlive the evaluation that asks for them first
def normal_points(dims: int) -> Tensor:
    """Points (N, d) of N(0, I), evenly spread, whose mean and covariance are exactly its own; N = max(1024, 4 d).

    Scrambled Sobol points at the middle of their strata, and mirror images, made uncorrelated. Means and variances of
    an affine map are then exact, and of another map only its deviation from an affine one is estimated.
    """
    count = max(POINTS // 2, 2 * dims)
    ranks = SobolEngine(dims, scramble=True, seed=0).draw(count, dtype=torch.float64).argsort(0).argsort(0)
    half = torch.special.ndtri((ranks.double() + 0.5) / count)
    factor = torch.linalg.cholesky(half.T @ half / count)
    half = torch.linalg.solve_triangular(factor, half.T, upper=False).T
    return torch.cat([half, -half])
