"""Draws of a distribution that are nearer to its mean, or further from it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily

from vae_cli.errors import UserError


def tempered(p: Distribution, n: int, temperature: float, component: int | None = None) -> Float[Tensor, "n d"]:
    """z = m + T (z_0 - m), z_0 ~ p, (n, d): m is the mean of p, or of the component that z_0 comes from.

    The distribution of z has T^2 times the variance of p, or of each component.

    Args:
        component: of a mixture p, the only one that z_0 comes from
    """
    if component is None and temperature == 1:
        return p.sample(torch.Size((n,)))
    if isinstance(p, MixtureSameFamily):
        parts, rows = p.component_distribution, torch.arange(n)
        weights, size = p.mixture_distribution, torch.Size((n,))
        chosen = weights.sample(size) if component is None else torch.full((n,), component)
        z, mean = parts.sample(size)[rows, chosen], parts.mean[chosen]
    else:
        z = p.sample(torch.Size((n,)))
        try:
            mean = p.mean
        except NotImplementedError as error:
            problem = f"temperature={temperature:g}: this p(z) has no mean in closed form"
            raise UserError(f"{problem}; use temperature=1") from error
    return z if temperature == 1 else mean + temperature * (z - mean)
