"""Codebooks: K vectors that quantise the outputs of an encoder.

Shape legend: B batch, n positions, D dimensions, K codes, M = B n points.
"""

from __future__ import annotations

import warnings
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding

from vae_cli.capabilities import Capable
from vae_cli.distributed.shard import gather_rows
from vae_cli.distributions.precision import float32
from vae_cli.types import Fraction, PositiveInt

POINTS = 200
"""Number of points of k-means for each code."""


class Codebook(nn.Module, Capable):
    """Vectors e_k, (K, D), and the shares of the encoder's outputs nearest to each, (K,), moving averages over steps.

    A code with a small share restarts at one of the outputs, chosen with a probability proportional to its squared
    distance from its own code, as in k-means++ (Arthur & Vassilvitskii 2007).

    Args:
        codes: K.
        decay: decay of the moving averages at each step.
        restart_threshold: share below which a code restarts, as a fraction of 1/K.
    """

    requires: ClassVar = {"posterior": ("codes",)}
    vectors: Tensor
    shares: Tensor

    def __init__(self, *, codes: PositiveInt, decay: Fraction, restart_threshold: Fraction) -> None:
        super().__init__()
        self.codes, self.decay, self.restart_threshold = codes, decay, restart_threshold
        self.register_buffer("shares", torch.full((codes,), 1 / codes))

    def forward(self, indices: Int[Tensor, "*S"]) -> Float[Tensor, "*S D"]:
        """Vectors (..., D) of indices (...)."""
        return embedding(indices, self.vectors)

    def counts(self, indices: Int[Tensor, "*S"]) -> Int[Tensor, " K"]:
        """Number of occurrences of each code, (K,)."""
        flat = indices.flatten()
        return flat.new_zeros(self.codes).scatter_add_(0, flat, torch.ones_like(flat))  # bincount waits for a GPU

    @torch.no_grad()
    def nearest(self, points: Float[Tensor, "*S D"]) -> Int[Tensor, "*S"]:
        """Indices (...) of the codes nearest to points (..., D).

        In float64, for |e|^2 - 2 z e loses the digits of |z - e|^2 where the codes are far from 0.
        """
        with float32():
            vectors = self.vectors.double()
            return (vectors.square().sum(-1) - 2 * points.double() @ vectors.T).argmin(-1)

    @torch.no_grad()
    def identify(self, vectors: Float[Tensor, "*S D"]) -> Int[Tensor, "*S"]:
        """Indices (...) of codes given by their vectors (..., D): exact, where `nearest` may confuse close ones.

        A difference of a vector from itself is 0, which the expanded square is only up to rounding.
        """
        with float32():
            points = vectors.flatten(0, -2)
            apart = torch.cdist(points, self.vectors, compute_mode="donot_use_mm_for_euclid_dist")
            return apart.argmin(-1).reshape(vectors.shape[:-1])

    @torch.no_grad()
    def set(self, vectors: Float[Tensor, "K D"], shares: Float[Tensor, " K"]) -> None:
        """Set vectors (K, D) and shares (K,)."""
        self.vectors.copy_(vectors)
        self.shares.copy_(shares)

    @torch.no_grad()
    def start_at(self, points: Float[Tensor, "N D"]) -> None:
        """The centres of k-means on points (M, D); if there are too few, the other codes restart later."""
        from sklearn.cluster import KMeans  # the import takes seconds

        count = min(self.codes, len(points))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fewer distinct points than codes
            found = KMeans(count, n_init="auto", random_state=0).fit(points.double().cpu().numpy())
        vectors = points[torch.arange(self.codes, device=points.device) % len(points)].clone()
        vectors[:count] = torch.as_tensor(found.cluster_centers_).to(points)
        self.set(vectors, torch.bincount(torch.as_tensor(found.labels_), minlength=self.codes) / len(points))

    def learn(self, outputs: Tensor, indices: Tensor) -> Tensor:
        """Move towards outputs (B, n, D) whose codes are indices (B, n), and to those of the other processes.

        Returns:
            A loss for the gradient, a scalar.
        """
        raise NotImplementedError

    def _count(self, indices: Tensor) -> Tensor:
        """Update the shares; the assignment of each point, (M, K)."""
        codes = torch.arange(self.codes, device=indices.device)
        assigned = (indices.flatten().unsqueeze(-1) == codes).float()
        self.shares.lerp_(assigned.mean(0), 1 - self.decay)
        return assigned

    def _revive(self, points: Tensor) -> None:
        """Move dead codes to some of the points (M, D), and their shares to 1/K."""
        dead = (self.shares < self.restart_threshold / self.codes).unsqueeze(-1)
        squares = (points - self(self.nearest(points))).square().sum(-1).nan_to_num(0.0, 0.0)
        chosen = points[torch.multinomial(squares + 1e-20, self.codes, replacement=True)]
        vectors = torch.where(dead, chosen, self.vectors)
        self.set(vectors, torch.where(dead[:, 0], 1 / self.codes, self.shares))


class MovingAverages(Codebook):
    """e_k is the average of the outputs nearest to it, those of earlier steps with weights that decay.

    e_k = m_k / N_k with N_k <- decay N_k + (1 - decay) n_k and m_k <- decay m_k + (1 - decay) (sum of these outputs)
    (van den Oord et al. 2017, eq. 6 to 8): at decay 0 a step of k-means.
    """

    def __init__(self, code_dim: int, *, codes: PositiveInt, decay: Fraction, restart_threshold: Fraction) -> None:
        super().__init__(codes=codes, decay=decay, restart_threshold=restart_threshold)
        self.register_buffer("vectors", torch.randn(codes, code_dim))

    @torch.no_grad()
    def learn(self, outputs: Tensor, indices: Tensor) -> Tensor:
        """Update the averages; the loss is 0."""
        points, sums = gather_rows(outputs).flatten(0, 1), self.vectors * self.shares.unsqueeze(-1)
        assigned = self._count(gather_rows(indices))
        sums.lerp_(assigned.T @ points / len(points), 1 - self.decay)
        seen = assigned.any(0).unsqueeze(-1)  # the quotient of the others stays
        means = sums / torch.where(seen, self.shares.unsqueeze(-1), 1.0)
        self.vectors.copy_(torch.where(seen, means, self.vectors))
        self._revive(points)
        return outputs.new_zeros(())


class Learned(Codebook):
    """e_k learns by the gradient of the squared distance from its outputs (van den Oord et al. 2017, eq. 3)."""

    def __init__(self, code_dim: int, *, codes: PositiveInt, decay: Fraction, restart_threshold: Fraction) -> None:
        super().__init__(codes=codes, decay=decay, restart_threshold=restart_threshold)
        self.vectors = nn.Parameter(torch.randn(codes, code_dim))

    def learn(self, outputs: Tensor, indices: Tensor) -> Tensor:
        """|sg[z_e] - e|^2, summed over positions and dimensions, mean over the batch."""
        loss = (self(indices) - outputs.detach()).square().sum((1, 2)).mean()
        with torch.no_grad():
            self._count(gather_rows(indices))
            self._revive(gather_rows(outputs).flatten(0, 1))
        return loss


class Usage(NamedTuple):
    """Usage of a codebook: exp of the entropy of the codes' shares, at most K, and the share of codes in use."""

    perplexity: Tensor
    usage: Tensor

    @classmethod
    def of(cls, counts: Tensor) -> Usage:
        """The use given by counts (K,)."""
        shares = counts / counts.sum()
        return cls(torch.special.entr(shares).sum().exp(), (counts > 0).float().mean())
