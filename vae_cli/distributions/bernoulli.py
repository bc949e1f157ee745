"""Bernoulli distributions of binary entries, and their sum over an event with its gradient written out, in nats."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent
from torch.nn.functional import softplus
from torch.types import _size

from vae_cli.distributions.pixels import Elementwise

FEW = 2**15
"""Entries below which the many short operations of the written gradient take longer than softplus."""
PIECE = 2**18
"""Entries of a piece whose intermediate results stay in the cache of a CPU."""


class Bernoulli(Elementwise):
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


class IndependentBernoulli(Independent):
    """Independent Bernoulli entries, with logits (*batch, *event)."""

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        self.logits = logits
        super().__init__(Bernoulli(logits), event_dims, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(x), the sum over the event; for many entries on a CPU with its gradient written out."""
        logits, shape = self.logits, self.logits.shape
        fits = logits.numel() >= FEW and value.shape == shape[len(shape) - value.dim() :]
        if not fits or logits.device.type != "cpu" or torch.compiler.is_compiling():
            return super().log_prob(value)  # it has fewer kernels
        axis = -len(self.event_shape)
        value, logits = value.flatten(axis), logits.flatten(axis)
        if not torch.is_grad_enabled():
            return _log_prob(value, logits)
        if torch._C._are_functorch_transforms_active():
            return _MappedLogProb.apply(value.expand_as(logits), logits)
        return _LogProb.apply(value, logits)


class _LogProb(torch.autograd.Function):
    """sum log p(x) over the last axis, and its gradient x - s, s = 1 / (1 + e^-l)."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, logits: Tensor) -> Tensor:
        derivative = torch.empty_like(logits)
        total = _log_prob(value, logits, derivative)
        ctx.save_for_backward(value, logits, derivative)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, Tensor]:
        value, logits, derivative = ctx.saved_tensors
        if torch.is_grad_enabled():  # there may be a second derivative
            derivative = value - logits.sigmoid()
        return _gradients(ctx, grad_outputs[0], logits, derivative)


class _MappedLogProb(torch.autograd.Function):
    """`_LogProb` in the form that the transforms of `torch.func` ask for, which takes longer."""

    @staticmethod
    def forward(value: Tensor, logits: Tensor) -> Tensor:
        return _log_prob(value, logits)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, Tensor]:
        value, logits = ctx.saved_tensors
        return _gradients(ctx, grad_outputs[0], logits, value - logits.sigmoid())

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *entries: Tensor) -> tuple[Tensor, int]:
        """The sums of all models at once, as their first axis."""
        value, logits = (
            one.expand(info.batch_size, *one.shape) if axis is None else one.movedim(axis, 0)
            for one, axis in zip(entries, in_dims, strict=True)
        )
        kind = _MappedLogProb if torch._C._are_functorch_transforms_active() else _LogProb
        return kind.apply(value, logits), 0


def _gradients(ctx: Any, gradient: Tensor, logits: Tensor, derivative: Tensor) -> tuple[Tensor | None, Tensor]:
    gradient = gradient.unsqueeze(-1)
    return gradient * logits if ctx.needs_input_grad[0] else None, gradient * derivative


def _log_prob(value: Tensor, logits: Tensor, derivative: Tensor | None = None) -> Tensor:
    """sum log p(x) over the last axis, piece by piece of the first ones.

    Args:
        derivative: gets x - s
    """
    if logits.numel() <= PIECE or logits.dim() == 1:
        return _summed(value, logits, derivative)
    entries = [value.expand_as(logits), logits, *([] if derivative is None else [derivative])]
    if size := PIECE * len(logits) // logits.numel():
        return torch.cat([_log_prob(*piece) for piece in zip(*(one.split(size) for one in entries), strict=True)])
    return torch.stack([_log_prob(*piece) for piece in zip(*entries, strict=True)])


def _summed(value: Tensor, logits: Tensor, derivative: Tensor | None) -> Tensor:
    """sum x l - log(1 + e^l) = sum x l - max(l, 0) + log(1 - r) over the last axis, r = min(s, 1 - s).

    A logarithm is slow, so that four factors 1 - r share one. Their product, at least 1/16, is again a 1 - r, with all
    digits of a small r: (1 - a) (1 - b) = 1 - (a + b - a b). Two arrays hold all results and stay in the cache.

    Args:
        derivative: gets x - s
    """
    mean, one = torch.sigmoid(logits, out=derivative), logits.new_ones(())
    scratch = one - mean
    rest = torch.minimum(mean, scratch, out=scratch)
    if derivative is not None:
        torch.sub(value, mean, out=derivative)
    for _ in range(2 if rest.shape[-1] > 3 else 0):
        rest, other = rest.chunk(2, -1)
        (rest if rest.shape == other.shape else rest[..., :-1]).lerp_(one, other)
    logarithms = rest.neg_().log1p_().sum(-1)
    return logarithms - torch.clamp(logits, min=0, out=scratch).addcmul_(value, logits, value=-1).sum(-1)
