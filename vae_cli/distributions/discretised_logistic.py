"""The logistic distribution over the 256 levels k/255, with its gradient in closed form, in nats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.types import _size

from vae_cli.distributions.pieces import in_pieces
from vae_cli.distributions.pixels import LEVELS, STEEPEST, Elementwise

HALF = 0.5 / (LEVELS - 1)
"""Half the distance of two levels."""


class DiscretisedLogistic(Elementwise):
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

        return in_pieces(expected, self.loc, self._inverse_scale)[0]

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
        return in_pieces(_log_probability, *entries)[0]

    @cached_property
    def _inverse_scale(self) -> Tensor:
        return (-self.log_scale.clamp(min=-math.log(STEEPEST))).exp()


class _DiscretisedLogisticLogProb(torch.autograd.Function):
    """log P(k) and its gradients in loc and log-scale, in a third of autograd's time."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, loc: Tensor, log_scale: Tensor) -> tuple[Tensor, ...]:
        return in_pieces(_log_probability_and_gradients, value, loc, log_scale)

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
