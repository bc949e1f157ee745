"""Distributions of the entries of x that torch lacks, or computes less exactly than a bound needs, in nats."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus
from torch.types import _size

from vae_cli.distributions.distributions import UnvalidatedDistribution

LEVELS = 256
STEEPEST = 1e30
"""A logistic distribution, whose log density is linear in the distance, has scales within this and its inverse."""


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
        return self.logits.sigmoid()

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.no_grad():
            return torch.bernoulli(self.mean.expand(*sample_shape, *self.batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
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
        """Mask of l near 0, where `log_prob` and `mean` use a series; l there, else 0; |l| elsewhere, else 1."""
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
        with torch.no_grad():
            return torch.distributions.Categorical(logits=self.log_probs).sample(sample_shape) / (LEVELS - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        level = (value * (LEVELS - 1)).round().long().expand(self.batch_shape)
        return self.log_probs.gather(-1, level.unsqueeze(-1)).squeeze(-1)
