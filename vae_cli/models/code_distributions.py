"""Distributions over grids of codes: z holds the vectors of a codebook at n positions, flattened.

Log-probabilities are taken with respect to the counting measure on the K^n grids, in nats.
Shape legend: B batch, n positions, D dimensions of a code's vector, d = n D, K codes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import cross_entropy
from torch.types import _size

from vae_cli.distributions.distributions import UnvalidatedDistribution
from vae_cli.models.codebooks import Codebook

AT_ONCE = 1000
"""Number of grids drawn at a time."""


def per_position(z: Float[Tensor, "*S nD"], n_positions: int) -> Float[Tensor, "*S n D"]:
    """z (..., d) as (..., n, D); in z the dimensions of a vector are channels, one channel after another."""
    return z.unflatten(-1, (-1, n_positions)).mT


def flat(vectors: Float[Tensor, "*S n D"]) -> Float[Tensor, "*S nD"]:
    """The inverse of `per_position`: vectors (..., n, D) as (..., d)."""
    return vectors.mT.flatten(-2)


class QuantisedDelta(UnvalidatedDistribution):
    """A point mass at one grid of codes.

    Args:
        outputs: of the encoder, (B, n, D)
        indices: of the nearest codes, (B, n)
        z: their vectors, (B, d)
    """

    has_rsample = True

    def __init__(self, codebook: Codebook, outputs: Tensor, indices: Tensor, z: Tensor) -> None:
        self.codebook, self.outputs, self.indices, self.z = codebook, outputs, indices, z
        super().__init__(z.shape[:-1], z.shape[-1:], validate_args=False)

    @property
    def counts(self) -> Tensor:
        """Number of occurrences of each code in all grids, (K,)."""
        return self.codebook.counts(self.indices)

    @property
    def n_codes(self) -> int:
        return self.codebook.codes

    @property
    def mean(self) -> Tensor:
        return self.z

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.z)

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """z, (*sample_shape, B, d)."""
        return self.z.expand(*sample_shape, *self.z.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """0 at z, minus infinity elsewhere."""
        return torch.where((value == self.z).all(-1), 0.0, -torch.inf)


class Autoregressive(UnvalidatedDistribution):
    """p(k_1..k_n) = prod_i p(k_i | k_1..k_(i-1)), position by position in reading order.

    Args:
        logits: from the first i indices, (N, i), the logits of the first i + 1 indices, (N, i + 1, K)
    """

    def __init__(
        self,
        codebook: Codebook,
        n_positions: int,
        logits: Callable[[Tensor], Tensor],
        batch_shape: _size = torch.Size(),
    ) -> None:
        self.codebook, self.n_positions, self.logits = codebook, n_positions, logits
        super().__init__(
            torch.Size(batch_shape), torch.Size([n_positions * codebook.vectors.shape[-1]]), validate_args=False
        )

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> Autoregressive:
        """Repeat the distribution for each entry of a batch."""
        return Autoregressive(self.codebook, self.n_positions, self.logits, torch.Size(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of the grids with the vectors value (..., d); minus infinity if a vector is not in the codebook."""
        vectors = per_position(value.detach(), self.n_positions)
        indices = self.codebook.identify(vectors)
        known = (self.codebook(indices) == vectors).flatten(-2).all(-1)
        rows = indices.reshape(-1, self.n_positions)
        log_p = -cross_entropy(self.logits(rows[:, :-1]).mT, rows, reduction="none").sum(-1)
        return torch.where(known, log_p.reshape(known.shape), -torch.inf)

    @torch.no_grad()
    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        """z of grids drawn index by index, (*sample_shape, *batch_shape, d)."""
        shape = torch.Size(sample_shape) + self.batch_shape
        indices = torch.zeros(shape.numel(), self.n_positions, dtype=torch.int64, device=self.codebook.vectors.device)
        for rows in indices.split(AT_ONCE):
            for i in range(self.n_positions):
                probabilities = self.logits(rows[:, :i])[:, -1].softmax(-1)
                rows[:, i] = torch.multinomial(probabilities, 1)[:, 0]
        return flat(self.codebook(indices)).reshape(*shape, -1)
