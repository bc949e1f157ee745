"""The logistic distribution over the 256 levels k/255, with its gradient in closed form, in nats."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import hardshrink
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


def _log_probability(value: Tensor, loc: Tensor, log_scale: Tensor) -> tuple[Tensor]:
    return (_Bin(value, loc, log_scale).log_probability(),)


def _log_probability_and_gradients(value: Tensor, loc: Tensor, log_scale: Tensor) -> tuple[Tensor, ...]:
    bins = _Bin(value, loc, log_scale)
    return bins.log_probability(), *bins.gradients()


class _Bin:
    """The bin of x = k/255, in units of the scale c, and the two tails beside it; each of the shape of x.

    With a = (x + h - m) / c and b = (x - h - m) / c the edges, which are infinite for k = 255 and k = 0,
    log P(k) = log s(a) + log s(-b) + log(1 - e^-(a - b)), and the last term is dropped at an infinite edge. Most of the
    time is that of passes over memory, so that results replace others where `vmap` allows it.

    log_scale, inverse_scale: log c and 1/c
    outer: 1 where an edge is infinite, else 0
    above, below: -a and b
    upper, lower: s(-a) and s(b)
    narrow, mass: -(a - b) of finite edges, at most -1 / STEEPEST, and e^-(a - b) - 1
    """

    def __init__(self, value: Tensor, loc: Tensor, log_scale: Tensor) -> None:
        self.log_scale = log_scale.clamp(min=-math.log(STEEPEST))
        self.inverse_scale = self.log_scale.neg().exp_()
        half = (self.inverse_scale * HALF).clamp(min=1 / STEEPEST)
        offset = ((value - loc) * self.inverse_scale).clamp(-STEEPEST, STEEPEST)
        end = hardshrink(value - 0.5, 0.5 - HALF).sign_()
        self.above = offset.neg().sub_(half).sub_(end.clamp(min=0), alpha=4 * STEEPEST)
        self.below = offset.sub_(half).add_(end.clamp(max=0), alpha=4 * STEEPEST)
        self.upper, self.lower = self.above.sigmoid(), self.below.sigmoid()
        self.outer, self.narrow = end.abs_(), half.mul_(-2)
        self.mass = self.narrow.expm1()

    def log_probability(self) -> Tensor:
        """log P(k), with log s(a) = -max(-a, 0) + log max(s(a), s(-a)); all logarithms but that of c are one."""
        tails = torch.maximum(self.upper, 1 - self.upper).mul_(torch.maximum(self.lower, 1 - self.lower))
        share = torch.lerp(self.mass / self.narrow, self.outer.new_ones(()), self.outer)
        log_width = torch.lerp(math.log(2 * HALF) - self.log_scale, self.outer.new_zeros(()), self.outer)
        return tails.mul_(share).log_().sub_(self.above.relu()).sub_(self.below.relu()).add_(log_width)

    def gradients(self) -> tuple[Tensor, Tensor]:
        """d log P(k) / dm = (s(b) - s(-a)) / c and d log P(k) / d log c = b s(b) - a s(-a) - width (1 / mass - 1)."""
        narrowing = (self.mass + 1).mul_(self.narrow).div_(self.mass)
        narrowing = torch.lerp(narrowing, self.outer.new_zeros(()), self.outer)
        widening = self.above.mul_(self.upper).add_(self.below.mul_(self.lower)).sub_(narrowing)
        return (self.lower - self.upper).mul_(self.inverse_scale), widening
