"""The aggregated posterior q(z) = 1/N sum_n q(z|x_n): mutual information, its divergence from p(z), total correlation.

Shape legend: M codes z, B images of a batch, N images of the data set, d latent dimensions. All in nats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent

from vae_cli.distributed.shard import gather_rows, logsumexp_of_batch, own_rows
from vae_cli.distributions.precision import float32
from vae_cli.models.trace import Latent

CODES_AT_ONCE = 100
"""Codes scored at a time under the posteriors of a batch."""


@dataclass(frozen=True)
class Decomposition:
    """E KL(q(z|x) || p(z)) in three (Chen et al. 2018, eq. 2), each a mean over the batch; they sum to the sampled KL.

    mutual_information: I_q(x; z) = E log q(z|x) - log q(z)
    total_correlation: KL(q(z) || prod_j q(z_j))
    dimension_kl: E sum_j log q(z_j) - log p(z)
    """

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_kl: Tensor


def log_minibatch_weights(batch: int, examples: int, like: Tensor) -> Tensor:
    """log 1/(N B) for each pair of a code and an image of the batch, (B, B) (Chen et al. 2018, eq. 5)."""
    return like.new_full((batch, batch), -math.log(examples * batch))


def log_stratified_weights(batch: int, examples: int, like: Tensor) -> Tensor:
    """Weights of pairs that estimate q(z) without bias, (B, B), rows summing to 1 (Chen et al. 2018, appendix C.2).

    The own image of a code has the weight 1/N; the others of the batch share (N - 1)/N equally. These are the paper's
    weights, one of which depends on the order of the batch, averaged over all orders.
    """
    if batch == 1:
        return like.new_zeros(1, 1)
    weights = like.new_full((batch, batch), (examples - 1) / (examples * (batch - 1)))
    return weights.fill_diagonal_(1 / examples).log()


def decompose(latent: Latent, log_weights: Tensor) -> Decomposition:
    """The three parts of the rate, estimated within a batch by the first sample of each image; q must factorise.

    Args:
        log_weights: of each pair of a code and an image of the whole batch, (B, B), of which this process may have some
    """
    assert isinstance(latent.q, Independent)
    with float32():
        codes, log_weights = gather_rows(latent.z[0]), own_rows(log_weights, 1)
        pairs = latent.q.base_dist.log_prob(codes.unsqueeze(1)).flatten(2)  # log q(z_ij | x_b), b of this process
        log_q = own_rows(logsumexp_of_batch(pairs.sum(-1) + log_weights))
        log_factors = own_rows(logsumexp_of_batch(pairs + log_weights.unsqueeze(-1))).sum(-1)
        return Decomposition(
            (latent.log_q[0] - log_q).mean(), (log_q - log_factors).mean(), (log_factors - latent.log_p[0]).mean()
        )


@dataclass(frozen=True)
class Information:
    """I_q(x; z) <= log N and KL(q(z) || p(z)), nats; their sum is the mean rate."""

    mutual_information: float
    aggregated_kl: float


@torch.no_grad()
def information(
    encoded: Sequence[Distribution], prior: Distribution, z: Float[Tensor, "M d"], log_q: Float[Tensor, " M"]
) -> Information:
    """Estimates from codes z (M, d) drawn from the posteriors `encoded` of a whole data set, batch by batch.

    log_q (M,) is log q(z|x) of each code under its own posterior. log q(z) is exact for these N images: the only noise
    is that of the M draws.
    """
    count, log_aggregate = sum(q.batch_shape[0] for q in encoded), torch.full_like(log_q, -math.inf)
    with float32():
        for q in encoded:  # in place: what outlives a step here would keep the memory of its large temporaries
            for part, log_sum in zip(z.split(CODES_AT_ONCE), log_aggregate.split(CODES_AT_ONCE), strict=True):
                torch.logaddexp(log_sum, q.log_prob(part.unsqueeze(1)).logsumexp(1), out=log_sum)
        log_aggregate -= math.log(count)
        return Information(
            float((log_q - log_aggregate).double().mean()), float((log_aggregate - prior.log_prob(z)).double().mean())
        )
