"""Bounds on log p(x) and estimates of it."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.batch import Batch
from vae_cli.distributions.overflow import without_overflow
from vae_cli.evaluation import numbers
from vae_cli.evaluation.averages import Mean
from vae_cli.evaluation.estimators import elbo, iw_log_likelihood, prior_proposal
from vae_cli.evaluation.metrics.metric import Context, EncodedBatch, Metric, Values
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.trace import layer_rates


class Bound(Metric):
    """The ELBO and its parts; without a density q(z|x) the distortion alone."""

    title = "bound"
    numbers: ClassVar = numbers.BOUND

    @classmethod
    def applies(cls, context: Context) -> bool:
        return context.model.infers

    def measure(self, part: EncodedBatch) -> dict[str, Tensor]:
        return bound_terms(part.model, part.batch, part.q, self.context.settings.elbo_samples, part.rows)

    def compute(self) -> Values:
        bound = self.means.compute().get("elbo")
        bits = {} if bound is None or self.context.model.draws_vary else bits_per_dim(bound, self.context)
        return super().compute() | bits


class ImportanceWeighted(Metric):
    """Importance-weighted log-likelihood with k samples of q(z|x), or plain Monte Carlo with k samples of p(z)."""

    title = "log-likelihood"
    numbers: ClassVar = numbers.IMPORTANCE_WEIGHTED

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.kind = "mc" if context.settings.estimator == "prior" else "iw"

    @classmethod
    def applies(cls, context: Context) -> bool:
        model = context.model
        return model.has_density and (model.draws_vary or context.settings.estimator == "prior")

    def measure(self, part: EncodedBatch) -> dict[str, Tensor]:
        proposal = prior_proposal(part.model, part.batch) if self.kind == "mc" else part.q
        estimate = iw_log_likelihood(part.model, part.batch, proposal, self.context.settings.samples, part.rows)
        return {
            f"{self.kind}_log_likelihood": estimate.log_likelihood,
            "effective_sample_size": estimate.effective_sample_size,
        }

    def compute(self) -> Values:
        estimate = self.means.compute().get("iw_log_likelihood")
        bits = {} if estimate is None else bits_per_dim(estimate, self.context)
        return super().compute() | {f"{self.kind}_samples": self.context.settings.samples} | bits


@torch.no_grad()
def bound_terms(
    model: LatentVariableModel, batch: Batch, encoded: Distribution, samples: int, rows: int
) -> dict[str, Tensor]:
    """ELBO at beta = 1, distortion, rate, and the rates of several layers; without a bound the distortion. (B,) each.

    Args:
        samples: for each example
        rows: samples x examples that fit into memory at a time
    """
    if not model.has_density:
        return {"distortion": -without_overflow(-model.trace(batch, encoded, 1).distortion)}
    bound = elbo(model, batch, encoded, samples, rows)
    numbers = {"elbo": bound.elbo, "distortion": bound.distortion, "rate": bound.rate}
    return numbers | layer_rates(bound.rates)


def bits_per_dim(log_likelihood: Mean, context: Context) -> Values:
    """-log p(x) / (D log 2) with its standard error; empty if p(x|z) is a density, which has no bits."""
    if not context.model.likelihood.discrete:
        return {}
    scale = math.prod(context.data.event_shape) * math.log(2)
    return {
        "bits_per_dim": -log_likelihood.mean / scale,
        "bits_per_dim_se": log_likelihood.standard_error / scale,
    }
