"""Critics: networks that learn to tell two samples apart, beside the model whose samples they judge.

One loss and one optimiser train both: the model's term sees the critic with its parameters detached, the critic's term
sees detached samples. Each gradient is then that of two optimisers that step at the same time.

Shape legend: N points, d dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm

from vae_cli.types import PositiveInt


@dataclass(frozen=True)
class Learning:
    """What a critic minimises, and the share of points that it sorts rightly: 1/2 where the samples are alike."""

    loss: Tensor
    accuracy: Tensor


class Critic(nn.Module):
    """Scores (N,) of points (N, d): large where they look as if drawn from the first of two samples."""

    def __init__(self, dims: int, hidden: list[PositiveInt], spectral: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for wide_in, wide_out in pairwise([dims, *hidden]):
            layers += [nn.Linear(wide_in, wide_out), nn.LeakyReLU(0.2)]
        layers.append(nn.Linear([dims, *hidden][-1], 1))
        if spectral:
            layers = [spectral_norm(layer) if isinstance(layer, nn.Linear) else layer for layer in layers]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """The scores, in float32."""
        return self.layers(z).float().squeeze(-1)

    def judged(self, z: Tensor) -> Tensor:
        """The same with a gradient into z, not into the parameters."""
        return functional_call(self, {name: value.detach() for name, value in self.named_parameters()}, (z,))


def logistic(critic: Critic, first: Tensor, second: Tensor) -> Learning:
    """-E_first log s(T) - E_second log(1 - s(T)), s the logistic function, T the scores (Goodfellow et al. 2014).

    Its optimum is T = log of the ratio of densities: where the two are one, T = 0 and the loss log 4.
    """
    a, b = critic(first.detach()), critic(second.detach())
    return Learning(softplus(-a).mean() + softplus(b).mean(), accuracy(a, b))


def hinge(critic: Critic, first: Tensor, second: Tensor) -> Learning:
    """E_first max(0, 1 - T) + E_second max(0, 1 + T) (Lim & Ye 2017, eq. 9)."""
    a, b = critic(first.detach()), critic(second.detach())
    return Learning((1 - a).clamp(min=0).mean() + (1 + b).clamp(min=0).mean(), accuracy(a, b))


def accuracy(first: Tensor, second: Tensor) -> Tensor:
    """The mean share of either sample on its own side of T = 0, where a score of 0 is half right."""
    return ((first.sign().mean() - second.sign().mean()) / 4 + 0.5).detach()


def gradient_penalty(critic: Critic, z: Tensor) -> Tensor:
    """E |dT/dz|^2 over a sample, with a gradient into the parameters (Mescheder et al. 2018, eq. 9)."""
    z = z.detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(critic(z).sum(), z, create_graph=True)
    return slope.square().sum(-1).mean()
