"""Scores of single examples: a row depends on its x, on k and on the seed alone, for any order and batch size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.datasets.noise import seeds_of_rows
from vae_cli.distributed.shard import row_noise
from vae_cli.distributions.overflow import LARGEST
from vae_cli.evaluation.estimators import bound_and_importance, rows_at_once
from vae_cli.models.model import LatentVariableModel

EXAMPLES = 256
"""Examples that are encoded at a time."""


@dataclass(frozen=True)
class Scores:
    """Scores of N examples, (N,) each, in nats unless stated.

    Args:
        elbo: -distortion - rate at beta = 1, a mean over the k draws
        distortion: -E_q log p(x|z)
        rate: KL(q(z|x) || p(z))
        iw_log_likelihood: log 1/k sum_i p(x, z_i) / q(z_i|x); None for codes of a codebook, whose draws are equal
        iw_log_likelihood_se: its standard error by the delta method, sqrt((k / ESS - 1) / (k - 1))
        effective_sample_size: ESS = (sum w)^2 / sum w^2 of the k weights
        iw_samples: k
        bits_per_dim: -log_likelihood / (D log 2) for x of D dimensions; None if p(x|z) is a density
        percentile: share of the reference's scores at or below log_likelihood, in percent; None without a reference
    """

    elbo: Tensor
    distortion: Tensor
    rate: Tensor
    iw_log_likelihood: Tensor | None = None
    iw_log_likelihood_se: Tensor | None = None
    effective_sample_size: Tensor | None = None
    iw_samples: Tensor | None = None
    bits_per_dim: Tensor | None = None
    percentile: Tensor | None = None

    @property
    def log_likelihood(self) -> Float[Tensor, " N"]:
        """The score: the importance-weighted log-likelihood where there is one, else the ELBO."""
        return self.elbo if self.iw_log_likelihood is None else self.iw_log_likelihood

    def columns(self) -> dict[str, Tensor]:
        """The scores that the model has, by name."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None}

    def among(self, reference: Float[Tensor, " M"]) -> Scores:
        """With the percentile of each score among those of a reference."""
        ordered = reference.sort().values
        score = self.log_likelihood
        equal = 1e-5 * (1 + score.abs())  # for rounding, which depends on the other rows of a batch
        below = torch.searchsorted(ordered, score + equal, right=True)
        return replace(self, percentile=100 * below / len(ordered))

    @classmethod
    def cat(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of all parts, in order."""
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in parts[0].columns()})


@torch.no_grad()
def score(model: LatentVariableModel, batch: Batch, samples: int, seed: int) -> Scores:
    """The scores of a batch on the CPU, from `samples` draws of q(z|x); the model has a density q(z|x)."""
    chunks = rows_at_once(model, batch.x.device)
    draws = min(samples if model.draws_vary else 1, chunks.count)
    most = min(EXAMPLES, max(1, chunks.count // draws))

    def measure(part: Batch, at_once: int) -> Scores:
        return _score(model, part, samples, seed, min(at_once, draws * len(part)))

    return Scores.cat(list(chunks.map(batch, measure, most)))


def _score(model: LatentVariableModel, batch: Batch, samples: int, seed: int, rows: int) -> Scores:
    """Scores with at most `rows` draws x examples at a time."""
    draws = samples if model.draws_vary else 1
    with row_noise(seeds_of_rows(batch.x, seed)):
        bound, importance = bound_and_importance(model, batch, model.encode(batch), draws, rows)
    found = Scores(bound.elbo, bound.distortion, bound.rate)
    if model.draws_vary:
        found = replace(
            found,
            iw_log_likelihood=importance.log_likelihood,
            iw_log_likelihood_se=importance.standard_error,
            effective_sample_size=importance.effective_sample_size,
            iw_samples=torch.full((len(batch),), importance.draws),
        )
    if model.likelihood.discrete:
        dimensions = batch.x[0].numel()
        found = replace(found, bits_per_dim=-found.log_likelihood / (dimensions * math.log(2)))
    return Scores(**{name: value.cpu() for name, value in found.columns().items()})


def overflowing(scores: Scores) -> list[int]:
    """Positions of the examples whose score is -inf, because their numbers overflow."""
    return (scores.log_likelihood.abs() > LARGEST).nonzero().flatten().tolist()
