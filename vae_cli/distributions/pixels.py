"""Distributions of the entries of x that torch lacks, or computes less exactly than a bound needs, in nats."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.types import _size

from vae_cli.distributions.distributions import UnvalidatedDistribution
from vae_cli.distributions.pieces import in_pieces

LEVELS = 256
STEEPEST = 1e30
"""A logistic distribution, whose log density is linear in the distance, has scales within this and its inverse."""


class Elementwise(UnvalidatedDistribution):
    """One scalar for each entry of the parameters."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__(shape, validate_args=False)


class ContinuousBernoulli(Elementwise):
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

        return in_pieces(density, value, logits)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, Tensor]:
        def weighted(gradient: Tensor, value: Tensor, logits: Tensor) -> tuple[Tensor]:
            return (gradient * (value - ContinuousBernoulli(logits).mean),)

        return None, in_pieces(weighted, *grad_outputs, *ctx.saved_tensors)[0]


class CategoricalLevels(Elementwise):
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
