"""Distributions of the entries of x that torch lacks, or computes less exactly than a bound needs, in nats."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus
from torch.types import _size

from vae_cli.distributions.distributions import UnvalidatedDistribution

LEVELS = 256
HALF = 0.5 / (LEVELS - 1)
"""Half the distance of two levels."""
PIECE = 2**15
"""Entries of a tensor that a CPU works on at a time."""
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
    def mean(self) -> Tensor:
        """1 / (1 - e^-l) - 1 / l, the derivative of the log normaliser, as a distance from the nearer end of [0, 1]."""
        magnitude = self.logits.abs()
        near, far = magnitude.clamp(max=0.1), magnitude.clamp(min=0.1)
        mass = torch.expm1(-far).neg()
        exact = 1 / far - (1 - mass) / mass
        series = 0.5 - near / 12 + near**3 / 720
        to_end = torch.lerp(exact, series, (magnitude < 0.1).to(exact.dtype))
        right = (self.logits > 0).to(exact.dtype)
        return right + (1 - 2 * right) * to_end

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """Inverse distribution function log(1 + u (e^l - 1)) / l, taken from the side where it cannot overflow."""
        u = torch.rand(*sample_shape, *self.batch_shape, device=self.logits.device, dtype=self.logits.dtype)
        magnitude = self.logits.abs().clamp(min=1e-4)
        x = 1 + torch.log(torch.exp(-magnitude) + u * -torch.expm1(-magnitude)) / magnitude
        return torch.where(self.logits < 0, 1 - x, x).clamp(0, 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each entry, x l - max(l, 0) - log((1 - e^-|l|) / |l|); its derivative is x - E x."""
        return _ContinuousBernoulliLogProb.apply(*torch.broadcast_tensors(value, self.logits))


class _ContinuousBernoulliLogProb(torch.autograd.Function):
    """log p(x) of a continuous Bernoulli, with its gradient in closed form."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, logits: Tensor) -> Tensor:
        def density(value: Tensor, logits: Tensor) -> tuple[Tensor]:
            magnitude = logits.abs().clamp(min=1 / STEEPEST)
            normaliser = (torch.expm1(-magnitude).neg() / magnitude).log()
            return ((value - 1) * logits.relu() - value * (-logits).relu() - normaliser,)

        return _in_pieces(density, value, logits)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, Tensor]:
        def weighted(gradient: Tensor, value: Tensor, logits: Tensor) -> tuple[Tensor]:
            return (gradient * (value - ContinuousBernoulli(logits).mean),)

        return None, _in_pieces(weighted, *grad_outputs, *ctx.saved_tensors)[0]


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

        def expected(loc: Tensor, inverse_scale: Tensor) -> tuple[Tensor]:
            total = torch.zeros_like(loc)
            for j in range(1, LEVELS):
                total += torch.sigmoid((loc - (j - 0.5) / (LEVELS - 1)) * inverse_scale)
            return (total / (LEVELS - 1),)

        return _in_pieces(expected, self.loc, self._inverse_scale)[0]

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.no_grad():
            u = torch.rand(*sample_shape, *self.batch_shape, device=self.loc.device).clamp(1e-6, 1 - 1e-6)
            x = self.loc + self.log_scale.clamp(max=math.log(STEEPEST)).exp() * torch.logit(u)
            return (x.clamp(0, 1) * (LEVELS - 1)).round() / (LEVELS - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(k), one pass over the entries that also computes the gradient; a second derivative is an error."""
        entries = torch.broadcast_tensors(value, self.loc, self.log_scale)
        if torch.is_grad_enabled():
            return _DiscretisedLogisticLogProb.apply(*entries)[0]
        return _in_pieces(_log_probability, *entries)[0]

    @cached_property
    def _inverse_scale(self) -> Tensor:
        return (-self.log_scale.clamp(min=-math.log(STEEPEST))).exp()


class _DiscretisedLogisticLogProb(torch.autograd.Function):
    """log P(k) and its gradients in loc and log-scale, in a third of autograd's time."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, loc: Tensor, log_scale: Tensor) -> tuple[Tensor, ...]:
        return _in_pieces(_log_probability_and_gradients, value, loc, log_scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:])

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Any
    ) -> tuple[Tensor | None, ...]:
        return None, *(grad_outputs[0] * factor for factor in ctx.saved_tensors)


def _in_pieces(function: Callable[..., tuple[Tensor, ...]], *entries: Tensor) -> tuple[Tensor, ...]:
    """An elementwise function, on a CPU of pieces whose intermediate results stay in its cache."""
    whole = entries[0].device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling()
    if whole or entries[0].numel() <= PIECE:
        return function(*entries)
    pieces = zip(*(part.reshape(-1).split(PIECE) for part in entries), strict=True)
    first = function(*next(pieces))
    results = [torch.empty_like(entries[1], memory_format=torch.contiguous_format) for _ in first]
    places = zip(*(result.view(-1).split(PIECE) for result in results), strict=True)
    for place, values in zip(places, chain([first], (function(*piece) for piece in pieces)), strict=True):
        for part, result in zip(place, values, strict=True):
            part.copy_(result)
    return tuple(results)


@dataclass(frozen=True)
class _Bin:
    """The bin of x = k/255, in units of the scale c, and the two tails beside it; each of the shape of x.

    With a = (x + h - m) / c and b = (x - h - m) / c the edges, which are infinite for k = 255 and k = 0,
    log P(k) = log s(a) + log s(-b) + log(1 - e^-(a - b)), and the last term is dropped at an infinite edge.

    Args:
        log_scale: log c
        inverse_scale: 1/c
        above, below: -a and b
        has_above, has_below: 1 where that edge is finite, else 0
        width: a - b for finite edges, at least 1 / STEEPEST
        mass: 1 - e^-width
    """

    log_scale: Tensor
    inverse_scale: Tensor
    above: Tensor
    below: Tensor
    has_above: Tensor
    has_below: Tensor
    width: Tensor
    mass: Tensor

    @classmethod
    def of(cls, value: Tensor, loc: Tensor, log_scale: Tensor) -> _Bin:
        """The bin of each value."""
        log_scale = log_scale.clamp(min=-math.log(STEEPEST))
        inverse_scale = (-log_scale).exp()
        level = (value * (LEVELS - 1)).round()
        offset = ((value - loc) * inverse_scale).clamp(-STEEPEST, STEEPEST)
        half = (HALF * inverse_scale).clamp(min=1 / STEEPEST)
        has_above, has_below = (LEVELS - 1 - level).clamp(0, 1), level.clamp(0, 1)
        width = 2 * half
        mass = torch.expm1(-width).neg()
        return cls(log_scale, inverse_scale, -half - offset, offset - half, has_above, has_below, width, mass)

    @property
    def log_probability(self) -> Tensor:
        """log P(k), with log s(a) = -max(-a, 0) - log(1 + e^-|a|); all logarithms but that of c are one."""
        inner = self.has_above * self.has_below
        share = self.mass / self.width * inner + (1 - inner)
        tails = ((-self.above.abs()).exp() * self.has_above + 1) * ((-self.below.abs()).exp() * self.has_below + 1)
        linear = self.above.relu() * self.has_above + self.below.relu() * self.has_below
        return (share / tails).log() - linear + (math.log(2 * HALF) - self.log_scale) * inner

    @property
    def gradients(self) -> tuple[Tensor, Tensor]:
        """d log P(k) / dm = (s(b) - s(-a)) / c and d log P(k) / d log c = b s(b) - a s(-a) - width (1 / mass - 1)."""
        above, below = self.above.sigmoid() * self.has_above, self.below.sigmoid() * self.has_below
        narrowing = self.width * (1 - self.mass) / self.mass * (self.has_above * self.has_below)
        return (below - above) * self.inverse_scale, self.above * above + self.below * below - narrowing


def _log_probability(value: Tensor, loc: Tensor, log_scale: Tensor) -> tuple[Tensor]:
    return (_Bin.of(value, loc, log_scale).log_probability,)


def _log_probability_and_gradients(value: Tensor, loc: Tensor, log_scale: Tensor) -> tuple[Tensor, ...]:
    bins = _Bin.of(value, loc, log_scale)
    return bins.log_probability, *bins.gradients


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
