"""Directions of KL: one Gaussian q = N(m, s^2) fitted to p on the line by min KL(q || p) or by min KL(p || q).

The first seeks a mode, the second covers them all (Bishop 2006, section 10.1.2). Float64, nats.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from vae_cli.errors import UserError
from vae_cli.studies.kl.targets import Target

REACH, NODES = 9.0, 601
"""Trapezoidal rule for expectations under q: half width in standard deviations, and number of nodes."""


class Direction(ABC):
    """A loss of (m, log s) with its name."""

    name: str
    reason: str
    """Message for a target that cannot be fitted in this direction."""

    def __init__(self, target: Target) -> None:
        if not self.fits(target):
            raise UserError(f"direction={self.name}: {self.reason}")
        self.target = target

    @staticmethod
    @abstractmethod
    def fits(target: Target) -> bool:
        """True if the target provides all that the loss needs."""

    @property
    @abstractmethod
    def loss_name(self) -> str:
        """Name of the loss, with its unknown constant if there is one."""

    @abstractmethod
    def loss(self, mean: Tensor, log_scale: Tensor) -> Tensor:
        """The loss at any shape of parameters."""


class Reverse(Direction):
    """KL(q || p) = E_q log q - E_q log p: needs log p(x) up to a constant, and no draws from p."""

    name = "reverse"
    reason = (
        "KL(q || p) averages log p(x) under q, but this target provides only samples; "
        "use direction=forward, which needs nothing else, or a target whose density is known up to a constant"
    )

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.nodes = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)
        self.weights = (-0.5 * self.nodes.square()).softmax(0)

    @staticmethod
    def fits(target: Target) -> bool:
        return target.has_density

    @property
    def loss_name(self) -> str:
        return "KL(q || p)" if self.target.normalised else "KL(q || p) + constant"

    def loss(self, mean: Tensor, log_scale: Tensor) -> Tensor:
        """-H(q) - E_q log p, the expectation by quadrature."""
        x = mean.unsqueeze(-1) + log_scale.exp().unsqueeze(-1) * self.nodes
        entropy = log_scale + 0.5 * math.log(2 * math.pi * math.e)
        return -entropy - (self.target.log_prob(x) * self.weights).sum(-1)


class Forward(Direction):
    """KL(p || q) = E_p log p - E_p log q: needs draws from p; only the first term needs its density."""

    name = "forward"
    reason = (
        "KL(p || q) averages log q(x) under p, which needs draws from p, and of this target only the density is known; "
        "use direction=reverse, which needs no more, or a target with samples"
    )

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        x = target.draws()
        self.negentropy = float(target.log_prob(x).mean()) if target.normalised else 0.0
        self.moments = x.mean(), x.var(correction=0)

    @staticmethod
    def fits(target: Target) -> bool:
        return target.has_draws

    @property
    def loss_name(self) -> str:
        return "KL(p || q)" if self.target.normalised else "-E_p log q"

    def loss(self, mean: Tensor, log_scale: Tensor) -> Tensor:
        """E_p log p - E_p log q over the draws; depends on the first two moments of x only."""
        centre, variance = self.moments  # E x^2 - 2 m E x + m^2 would cancel for x far from 0
        squared = (variance + (centre - mean).square()) * (-2 * log_scale).exp()
        return self.negentropy + log_scale + 0.5 * (math.log(2 * math.pi) + squared)
