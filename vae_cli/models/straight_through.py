"""Gradients through quantisation: outputs (..., D) of an encoder are replaced by vectors (..., D) of a codebook."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


class _Valued(torch.autograd.Function):
    """The values of one tensor with the gradient of another; moved + (values - moved) would round the values."""

    @staticmethod
    def forward(ctx: Any, moved: Tensor, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(outputs: Float[Tensor, "*S D"], vectors: Float[Tensor, "*S D"]) -> Float[Tensor, "*S D"]:
    """The vectors; their Jacobian by the outputs is the identity (van den Oord et al. 2017, section 3.2)."""
    return _Valued.apply(outputs, vectors.detach())


def rotation_trick(outputs: Float[Tensor, "*S D"], vectors: Float[Tensor, "*S D"]) -> Float[Tensor, "*S D"]:
    """The vectors; their Jacobian by the outputs is a rotation times a scale (Fifty et al. 2025).

    The rotation R = I - 2 r r^T + 2 q e^T maps the direction e of an output to the direction q of its vector, with
    r = (e + q) / |e + q|. The scale is the ratio of their lengths. Both are constants for the gradient.
    """
    vectors = vectors.detach()
    with torch.no_grad():
        e, q = normalize(outputs, dim=-1), normalize(vectors, dim=-1)
        r = normalize(e + q, dim=-1)
        scale = vectors.norm(dim=-1, keepdim=True) / outputs.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    along, across = (outputs * e).sum(-1, keepdim=True), (outputs * r).sum(-1, keepdim=True)
    return _Valued.apply(scale * (outputs - 2 * r * across + 2 * q * along), vectors)
