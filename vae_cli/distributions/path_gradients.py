"""q(z|x) whose density has a gradient through its draws alone: path gradients of importance-weighted bounds.

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
    """q, whose log density has a gradient into z and none into q's parameters (Roeder et al. 2017, eq. 7).

    The gradient of log q at z is computed first and then multiplied by z, which holds for every q with a density.
    """

    has_rsample = True

    def __init__(self, q: Distribution) -> None:
        self.q = q
        super().__init__(q.batch_shape, q.event_shape, validate_args=False)

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
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
    """`FixedDensity`; the gradient into each draw is multiplied by the part of the loss's gradient that its log q has.

    In the bound log 1/k sum_i w_i that part is the normalised weight of the draw (Tucker et al. 2019, eq. 8).
    """

    def rsample_and_log_prob(self, sample_shape: _size = torch.Size()) -> tuple[Tensor, Tensor]:
        """z ~ q, (S, B, d), and log q(z), (S, B), of which a loss uses both."""
        z, zeros = _Weighted.apply(self.rsample(sample_shape))
        return z, self.log_prob(z) + zeros


class _Weighted(torch.autograd.Function):
    """z, and zeros (S, B) to add to a log density: their gradient, normalised over S, multiplies that of z.

    A hook could do so too, but not when compiled.
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
    """KL(q || p) of q itself."""
    return kl_divergence(q.q, p)
