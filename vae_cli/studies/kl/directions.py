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
"""Expectations under q by the trapezoidal rule over so many standard deviations, at so many nodes."""


class Direction(ABC):
    """A loss of (m, log s), and what it is called where constants are unknown."""

    name: str
    reason: str
    """Why some targets cannot be fitted in this direction."""

    def __init__(self, target: Target) -> None:
        if not self.fits(target):
            raise UserError(f"direction={self.name}: {self.reason}")
        self.target = target

    @staticmethod
    @abstractmethod
    def fits(target: Target) -> bool:
        """Whether the loss can be evaluated with what is known of the target."""

    @property
    @abstractmethod
    def loss_name(self) -> str:
        """What the loss is."""

    @abstractmethod
    def loss(self, mean: Tensor, log_scale: Tensor) -> Tensor:
        """The loss at any shape of parameters."""


class Reverse(Direction):
    """KL(q || p) = E_q log q - E_q log p: needs log p(x), a constant in it does not matter; no draws from p."""

    name = "reverse"
    reason = (
        "KL(q || p) averages log p(x) under q, and of this target only samples are known; "
        "use direction=forward, which needs nothing else, or a target whose density is known up to a constant"
    )

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.nodes = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)
        self.weights = (-0.5 * self.nodes.square()).softmax(0)

    @staticmethod
    def fits(target: Target) -> bool:
        """Where log p can be evaluated."""
        return target.has_density

    @property
    def loss_name(self) -> str:
        """The divergence, or that and an unknown constant."""
        return "KL(q || p)" if self.target.normalised else "KL(q || p) + constant"

    def loss(self, mean: Tensor, log_scale: Tensor) -> Tensor:
        """-H(q) - E_q log p, the expectation by quadrature."""
        x = mean.unsqueeze(-1) + log_scale.exp().unsqueeze(-1) * self.nodes
        entropy = log_scale + 0.5 * math.log(2 * math.pi * math.e)
        return -entropy - (self.target.log_prob(x) * self.weights).sum(-1)


class Forward(Direction):
    """KL(p || q) = E_p log p - E_p log q: needs draws from p; of its density nothing, but for the first term."""

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
        """Where there are draws."""
        return target.has_draws

    @property
    def loss_name(self) -> str:
        """The divergence, or its second term."""
        return "KL(p || q)" if self.target.normalised else "-E_p log q"

    def loss(self, mean: Tensor, log_scale: Tensor) -> Tensor:
        """E_p log p - E_p log q over the draws; of x only its first two moments matter."""
        centre, variance = self.moments  # not E x^2 - 2 m E x + m^2, which cancels where x is far from 0
        squared = (variance + (centre - mean).square()) * (-2 * log_scale).exp()
        return self.negentropy + log_scale + 0.5 * (math.log(2 * math.pi) + squared)
