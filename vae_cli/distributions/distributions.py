"""Distributions that torch lacks, or computes less exactly than a bound needs; all `log_prob`s normalised, in nats."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, constraints, register_kl
from torch.distributions.utils import _standard_normal
from torch.nn.functional import logsigmoid, softplus
from torch.types import _size

from vae_cli.distributed.shard import draw_shard
from vae_cli.distributions.precision import float32
from vae_cli.distributions.quadrature import normal_points

LEVELS = 256
FARTHEST = 1e15
"""Standard deviations and distances in units of them lie within this and its inverse, so that no square overflows."""
STEEPEST = 1e30
"""The same of a logistic distribution, whose log density is linear in the distance."""

AT_ONCE = 2**16
"""Points times examples that a flow moves at a time for its moments."""


class UnvalidatedDistribution(Distribution):
    """A distribution whose arguments nobody checks: that would cost more than the density."""

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """None."""
        return {}


class Delta(UnvalidatedDistribution):
    """All mass on loc (B, d): a deterministic code. It has no density, so asking for one raises NotImplementedError."""

    has_rsample = True

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """loc, (B, d)."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Zeros, (B, d)."""
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """loc itself, (*sample_shape, B, d)."""
        return self.loc.expand(*sample_shape, *self.loc.shape)


class Repeated(UnvalidatedDistribution):
    """p, of batch shape (), for each index of a batch; unlike `expand` it asks p for draws and densities alone."""

    def __init__(self, p: Distribution, batch_shape: torch.Size) -> None:
        self.p = p
        super().__init__(batch_shape, p.event_shape, validate_args=False)

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """z (*sample_shape, B, d)."""
        return self.p.sample(torch.Size(sample_shape) + self.batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z), for z that broadcast to the batch."""
        return self.p.log_prob(value)


class PushforwardDistribution(UnvalidatedDistribution):
    """f(z_0), z_0 ~ base: a flow in the direction of its draws; the last ones are scored without an inversion.

    `step` is a bijection of vectors (zuko's, with `call_and_ladj`), base a diagonal Gaussian of batch shape (B,). Its
    moments, which have no closed form, are those of f at fixed points of the base: exact where f is affine.
    """

    has_rsample = True

    def __init__(self, base: Independent, step: Any) -> None:
        self.base, self.step = base, step
        self.draw_shard: tuple[Tensor, Tensor] | None = None
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def _push(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """f(start) and its log-density."""
        z, log_det = self.step.call_and_ladj(start)
        return z, self.base.log_prob(start) - log_det

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """z (*sample_shape, B, d), whose log-density is kept."""
        self.draw_shard = self._push(self.base.rsample(sample_shape))
        return self.draw_shard[0]

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(z); of any but the last draw by inversion."""
        if self.draw_shard is not None and self.draw_shard[0] is value:
            return self.draw_shard[1]
        value = value.expand(*torch.broadcast_shapes(value.shape[:-1], self.batch_shape), *self.event_shape)
        start = self.step.inv(value)
        return self.base.log_prob(start) - self.step.log_abs_det_jacobian(start, value)

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """E z and Var z, (B, d), by sums over the points of what lies between them and the image of the base's mean."""
        with float32():
            return self._sums()

    def _sums(self) -> tuple[Tensor, Tensor]:
        centre = self.step(self.base.mean)
        first, second = torch.zeros_like(centre), torch.zeros_like(centre)
        points = normal_points(self.event_shape[0]).to(centre)
        for unit in points.split(max(1, AT_ONCE // self.batch_shape.numel())):
            unit = unit.reshape(len(unit), *[1] * len(self.batch_shape), -1)
            moved = self.step(self.base.mean + self.base.stddev * unit) - centre
            first, second = first + moved.sum(0), second + moved.square().sum(0)
        shift = first / len(points)
        return centre + shift, second / len(points) - shift.square()

    @property
    def mean(self) -> Tensor:
        """E z, (B, d), by fixed points."""
        return self._moments[0]

    @property
    def variance(self) -> Tensor:
        """Var z, (B, d), by fixed points."""
        return self._moments[1]


class _Elementwise(UnvalidatedDistribution):
    """One scalar for each entry of the parameters."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__(shape, validate_args=False)


class Bernoulli(_Elementwise):
    """x in {0, 1} with log p(x) = x l - log(1 + e^l), l the logits: one pass over the logits, no copy of x."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape)

    @property
    def mean(self) -> Tensor:
        """P(x = 1)."""
        return self.logits.sigmoid()

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """x in {0., 1.}."""
        with torch.no_grad():
            return torch.bernoulli(self.mean.expand(*sample_shape, *self.batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of each entry."""
        return value * self.logits - softplus(self.logits)


class ContinuousBernoulli(_Elementwise):
    """x in [0, 1] with p(x) = exp(x l) l / (e^l - 1) (Loaiza-Ganem & Cunningham 2019, in its natural parameter l).

    torch's own goes through probabilities and loses the normaliser beyond |l| = 16.
    """

    has_rsample = True

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape)

    @property
    def _small(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where l is near 0, as `log_prob` and `mean` take a series; l there, else 0; |l| elsewhere, else 1."""
        small = self.logits.abs() < 0.1
        return small, torch.where(small, self.logits, 0.0), torch.where(small, 1.0, self.logits.abs())

    @property
    def mean(self) -> Tensor:
        """1 / (1 - e^-l) - 1 / l, the derivative of the log normaliser; from the side where e^-l cannot overflow."""
        small, near, magnitude = self._small
        above = -1 / torch.expm1(-magnitude) - 1 / magnitude
        below = (-magnitude).exp() / torch.expm1(-magnitude) + 1 / magnitude
        series = 0.5 + near / 12 - near**3 / 720
        return torch.where(small, series, torch.where(self.logits > 0, above, below))

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """Inverse distribution function log(1 + u (e^l - 1)) / l, taken from the side where it cannot overflow."""
        u = torch.rand(*sample_shape, *self.batch_shape, device=self.logits.device, dtype=self.logits.dtype)
        magnitude = self.logits.abs().clamp(min=1e-4)
        x = 1 + torch.log(torch.exp(-magnitude) + u * -torch.expm1(-magnitude)) / magnitude
        return torch.where(self.logits < 0, 1 - x, x).clamp(0, 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each entry, x l - log((e^l - 1) / l): by a series near l = 0, without cancellation far out."""
        small, near, magnitude = self._small
        far = torch.where(small, 0.0, self.logits)
        exact = (value - (far > 0).to(far.dtype)) * far - torch.log(-torch.expm1(-magnitude)) + magnitude.log()
        series = value * near - (near / 2 + near**2 / 24 - near**4 / 2880)
        return torch.where(small, series, exact)


class DiscretisedLogistic(_Elementwise):
    """x = k/255 with P(k) = s((x + h - m) / c) - s((x - h - m) / c), h = 1/510, s the logistic function.

    The outer bins reach to infinity, so that the 256 probabilities sum to 1 (Kingma et al. 2016, eq. 16).
    """

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc, self.log_scale = loc, log_scale
        super().__init__(loc.shape)

    @property
    def mean(self) -> Tensor:
        """E k / 255 = sum over j >= 1 of P(k >= j) / 255."""
        total = torch.zeros_like(self.loc)
        for j in range(1, LEVELS):
            total += torch.sigmoid((self.loc - (j - 0.5) / (LEVELS - 1)) * self._inverse_scale)
        return total / (LEVELS - 1)

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """A logistic draw rounded to the nearest level."""
        with torch.no_grad():
            u = torch.rand(*sample_shape, *self.batch_shape, device=self.loc.device).clamp(1e-6, 1 - 1e-6)
            x = self.loc + self.log_scale.clamp(max=math.log(STEEPEST)).exp() * torch.logit(u)
            return (x.clamp(0, 1) * (LEVELS - 1)).round() / (LEVELS - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """With a, b the upper and lower edge, log(s(a) - s(b)) = log s(a) + log s(-b) + log(1 - e^(b - a)).

        The last term is log(a - b), a - b = 2h/c, plus a series where that is small: 1 - e^(b - a) may underflow.
        """
        half = 0.5 / (LEVELS - 1)
        upper, lower = ((sign * (value - self.loc) + half) * self._inverse_scale for sign in (1, -1))
        below_upper, above_lower = (logsigmoid(edge.clamp(-STEEPEST, STEEPEST)) for edge in (upper, lower))
        width = 2 * half * self._inverse_scale
        thin = width < 0.01
        series = math.log(2 * half) - self.log_scale - width / 2 + width.square() / 24
        exact = torch.log(-torch.expm1(-torch.where(thin, 1.0, width)))
        inner = below_upper + above_lower + torch.where(thin, series, exact)
        first, last = value < half, value > 1 - half
        return torch.where(first, below_upper, torch.where(last, above_lower, inner))

    @cached_property
    def _inverse_scale(self) -> Tensor:
        return (-self.log_scale.clamp(min=-math.log(STEEPEST))).exp()


class CategoricalLevels(_Elementwise):
    """x = k/255 with free probabilities: logits (..., 256) on the last axis."""

    def __init__(self, logits: Tensor) -> None:
        self.log_probs = logits.log_softmax(-1)
        super().__init__(logits.shape[:-1])

    @property
    def mean(self) -> Tensor:
        """E k / 255."""
        levels = torch.arange(LEVELS, device=self.log_probs.device) / (LEVELS - 1)
        return (self.log_probs.exp() * levels).sum(-1)

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """A level drawn for each entry, as k/255."""
        with torch.no_grad():
            return torch.distributions.Categorical(logits=self.log_probs).sample(sample_shape) / (LEVELS - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of each entry."""
        level = (value * (LEVELS - 1)).round().long().expand(self.batch_shape)
        return self.log_probs.gather(-1, level.unsqueeze(-1)).squeeze(-1)


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
    """N(loc, scale^2), whose noise is that of the whole batch where several processes have a share of it; loc (B, d).

    log_scale is that of the scale, also where the scale itself would overflow: densities and KL then stay what they are
    up to the range of the numbers.
    """

    def __init__(self, loc: Tensor, scale: Tensor, log_scale: Tensor | None = None) -> None:
        super().__init__(loc, scale, validate_args=False)
        self.log_scale = self.scale.log() if log_scale is None else log_scale

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> SharedNormal:
        """The same for each index of a batch shape."""
        return SharedNormal(*(one.expand(batch_shape) for one in (self.loc, self.scale, self.log_scale)))

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """z (*sample_shape, B, d)."""
        return (
            self.loc + draw_shard(_noise(self.loc), self._extended_shape(sample_shape), len(sample_shape)) * self.scale
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each entry."""
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
    """The same of torch's multivariate normal; loc (B, d)."""

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """z (*sample_shape, B, d)."""
        noise = draw_shard(_noise(self.loc), self._extended_shape(sample_shape), len(sample_shape))
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)


def _noise(like: Tensor) -> Callable[[torch.Size], Tensor]:
    return lambda shape: _standard_normal(shape, dtype=like.dtype, device=like.device)


def gaussian(loc: Tensor, scale: Tensor, event_dims: int) -> Independent:
    """N(loc, diag scale^2) with the last `event_dims` axes as its event."""
    return Independent(SharedNormal(loc, scale), event_dims, validate_args=False)


def log_gaussian(loc: Tensor, log_scale: Tensor, event_dims: int) -> Independent:
    """N(loc, diag exp(log_scale)^2) for any log_scale a network puts out: draws keep to scales within FARTHEST."""
    limit = math.log(FARTHEST)
    normal = SharedNormal(loc, log_scale.clamp(-limit, limit).exp(), log_scale)
    return Independent(normal, event_dims, validate_args=False)


def log_floored(log_variance: Tensor, min_scale: float) -> Tensor:
    """log sqrt(exp(log_variance) + min_scale^2), of a standard deviation that is at least min_scale."""
    return 0.5 * torch.logaddexp(log_variance, log_variance.new_tensor(2 * math.log(min_scale)))


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
