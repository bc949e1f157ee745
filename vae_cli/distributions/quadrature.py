"""Fixed points of a normal distribution, for moments without a closed form."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.quasirandom import SobolEngine

POINTS = 1024


@cache
@torch.inference_mode(False)  # the cache outlives the evaluation that fills it
def normal_points(dims: int) -> Float[Tensor, "points dims"]:
    """Points (N, d) of N(0, I), evenly spread, with exact mean and covariance; N = max(1024, 4 d).

    Scrambled Sobol points at the middle of their strata, and mirror images, made uncorrelated. Means and variances of
    an affine map are then exact.
    """
    count = max(POINTS // 2, 2 * dims)
    ranks = SobolEngine(dims, scramble=True, seed=0).draw(count, dtype=torch.float64).argsort(0).argsort(0)
    half = torch.special.ndtri((ranks.double() + 0.5) / count)
    factor = torch.linalg.cholesky(half.T @ half / count)
    half = torch.linalg.solve_triangular(factor, half.T, upper=False).T
    return torch.cat([half, -half])
