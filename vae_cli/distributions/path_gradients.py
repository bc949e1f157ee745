"""q(z|x) whose density learns through its draws alone, the gradient that importance-weighted bounds are best with.

Shape legend: S samples, B batch, d latent dimensions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence, register_kl
from torch.types import _size

from vae_cli.distributions.distributions import UnvalidatedDistribution


class FixedDensity(UnvalidatedDistribution):
    """q, drawn from as it is; its density has a gradient into z, none into q's parameters (Roeder et al. 2017, eq. 7).

    The slope of log q at z is taken first and then multiplied by z, so that it holds for every q with a density: no
    part of q has to be copied or evaluated again.
    """

    has_rsample = True

    def __init__(self, q: Distribution) -> None:
        self.q = q
        super().__init__(q.batch_shape, q.event_shape, validate_args=False)

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """z ~ q, (*sample_shape, B, d)."""
        return self.q.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(z), (*sample_shape, B)."""
        score: Any = torch.compiler.disable(self._score)  # a gradient inside the step is nothing to compile
        return score(value)

    def _score(self, value: Tensor) -> Tensor:
        with torch.enable_grad():
            point = value.detach().requires_grad_()
            log_q = self.q.log_prob(point)
            (slope,) = torch.autograd.grad(log_q.sum(), point)
        return log_q.detach() + (slope * (value - point.detach())).sum(-1)


class DoublyWeighted(FixedDensity):
    """The same; the gradient into each draw is multiplied once more by the share of the loss's that its log q has.

    In the bound log 1/k sum_i w_i that share is the normalised weight of the draw (Tucker et al. 2019, eq. 8).
    """

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """z ~ q, (S, B, d), whose own log q comes next."""
        z, self.shares = _Weighted.apply(super().rsample(sample_shape))
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(z) of the last draw, (S, B)."""
        return super().log_prob(value) + self.shares


class _Weighted(torch.autograd.Function):
    """z, and zeros (S, B) to add to a log density: their gradient, normalised over S, multiplies that of z.

    The weights of draws are known after they have been scored; a hook could take them back, but not when compiled.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.clone(), z.new_zeros(z.shape[:-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient, weights = gradients
        total = weights.sum(0, keepdim=True)
        return gradient * (weights / total.masked_fill(total == 0, 1.0)).unsqueeze(-1)


@register_kl(FixedDensity, Distribution)
def _kl_fixed(q: FixedDensity, p: Distribution) -> Tensor:
    """That of q itself."""
    return kl_divergence(q.q, p)
