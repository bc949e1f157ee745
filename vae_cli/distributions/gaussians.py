"""Gaussians whose densities hold up to the range of float32, and whose noise does not depend on the world size."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, register_kl
from torch.types import _size

from vae_cli.distributed.shard import draw_shard

FARTHEST = 1e15
"""Standard deviations and distances in units of them lie within this and its inverse, so that no square overflows."""


@register_kl(MultivariateNormal, Independent)
def _kl_full_diagonal(q: MultivariateNormal, p: Independent) -> Tensor:
    """1/2 (tr(S^-2 L L^T) + |S^-1 (m - m0)|^2 - d - log|L L^T| + log|S^2|), S the diagonal standard deviations of p."""
    base = p.base_dist
    if not isinstance(base, Normal):
        raise NotImplementedError
    scale = base.scale
    tril = q.scale_tril / scale.unsqueeze(-1)
    trace = tril.square().sum((-1, -2))
    mahalanobis = ((q.loc - base.loc) / scale).square().sum(-1)
    log_det = 2 * (torch.diagonal(tril, dim1=-2, dim2=-1).log().sum(-1))
    return 0.5 * (trace + mahalanobis - q.loc.shape[-1] - log_det)


class SharedNormal(Normal):
    """N(loc, scale^2), loc (B, d), whose noise does not depend on the number of processes that share the batch.

    Args:
        log_scale: exact log of the scale also where the scale itself is clamped; densities and KL use it
    """

    def __init__(self, loc: Tensor, scale: Tensor, log_scale: Tensor | None = None) -> None:
        super().__init__(loc, scale, validate_args=False)
        self.log_scale = self.scale.log() if log_scale is None else log_scale

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> SharedNormal:
        return SharedNormal(*(one.expand(batch_shape) for one in (self.loc, self.scale, self.log_scale)))

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        return (
            self.loc + draw_shard(_noise(self.loc), self._extended_shape(sample_shape), len(sample_shape)) * self.scale
        )

    def log_prob(self, value: Tensor) -> Tensor:
        distance = ((value - self.loc) / self.scale).clamp(-FARTHEST, FARTHEST)
        return -0.5 * distance.square() - self.log_scale - 0.5 * math.log(2 * math.pi)

    def entropy(self) -> Tensor:
        """1/2 log(2 pi e) + log scale."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.log_scale


@register_kl(SharedNormal, SharedNormal)
def _kl_normal(q: SharedNormal, p: SharedNormal) -> Tensor:
    """1/2 (s^2 / s0^2 + (m - m0)^2 / s0^2 - 1) - log s / s0."""
    log_ratio = q.log_scale - p.log_scale
    return 0.5 * ((2 * log_ratio).exp() + ((q.loc - p.loc) / p.scale).square() - 1) - log_ratio


class SharedMultivariateNormal(MultivariateNormal):
    """torch's multivariate normal with the noise of `SharedNormal`; loc (B, d)."""

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        noise = draw_shard(_noise(self.loc), self._extended_shape(sample_shape), len(sample_shape))
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)


def _noise(like: Tensor) -> Callable[[torch.Size], Tensor]:
    return lambda shape: torch.randn(shape, dtype=like.dtype, device=like.device)


def gaussian(loc: Tensor, scale: Tensor, event_dims: int) -> Independent:
    """N(loc, diag scale^2) with the last `event_dims` axes as its event."""
    return Independent(SharedNormal(loc, scale), event_dims, validate_args=False)


def log_gaussian(loc: Tensor, log_scale: Tensor, event_dims: int) -> Independent:
    """N(loc, diag exp(log_scale)^2) for any output log_scale of a network; draws clamp the scale to FARTHEST."""
    limit = math.log(FARTHEST)
    normal = SharedNormal(loc, log_scale.clamp(-limit, limit).exp(), log_scale)
    return Independent(normal, event_dims, validate_args=False)


def log_floored(log_variance: Tensor, min_scale: float) -> Tensor:
    """log sqrt(exp(log_variance) + min_scale^2), of a standard deviation that is at least min_scale."""
    return 0.5 * torch.logaddexp(log_variance, log_variance.new_full((), 2 * math.log(min_scale)))


def floored(log_variance: Tensor, min_scale: float) -> Tensor:
    """Standard deviation sqrt(exp(log_variance) + min_scale^2)."""
    return log_floored(log_variance, min_scale).exp()


def linear_gaussian_marginal(weight: Tensor, bias: Tensor, scale: Tensor) -> MultivariateNormal:
    """p(x) = N(b, W W^T + diag s^2) of x|z ~ N(W z + b, diag s^2), z ~ N(0, I) (Tipping & Bishop 1999, eq. 5).

    Args:
        weight: W, (D, d)
        bias: b, (D,)
        scale: s, (D,)
    """
    return MultivariateNormal(bias, weight @ weight.T + torch.diag(scale.square()))
