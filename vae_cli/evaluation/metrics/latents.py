"""Numbers of the codes of a split: aggregated posterior, active units, use of a codebook."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import ClassVar, Protocol, cast

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.distributed import process_group
from vae_cli.evaluation import numbers
from vae_cli.evaluation.averages import Sums
from vae_cli.evaluation.metrics.metric import Context, EncodedBatch, Metric, Values
from vae_cli.models.aggregate_posterior import information
from vae_cli.models.codebooks import Usage
from vae_cli.models.trace import Latent, total
from vae_cli.objectives.divergences import RBFMMD

DRAWS, INVERTED_DRAWS = 2000, 100
"""Draws z ~ q(z) that are scored under every q(z|x), the second where each density inverts a flow."""


def is_continuous_density(context: Context) -> bool:
    """True if q(z|x) is a density of a continuous z."""
    return context.model.has_density and context.model.is_continuous


class AggregatedPosterior(Metric):
    """q(z) = 1/N sum_n q(z|x_n) of the whole split, at one draw from each of the first examples."""

    title = "numbers of the aggregated posterior"
    numbers: ClassVar = numbers.AGGREGATED_POSTERIOR

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.posteriors: list[Distribution] = []
        self.draws: list[dict[str, Tensor]] = []
        self.prior: Distribution | None = None
        self.count = INVERTED_DRAWS if context.model.posterior.density_inverts else DRAWS

    @classmethod
    def applies(cls, context: Context) -> bool:
        return is_continuous_density(context)

    @property
    def uses_all_draws(self) -> bool:
        """True if the aggregated variance is that of the draws."""
        return self.context.model.posterior.moments_are_conditional

    def measure(self, part: EncodedBatch) -> dict[str, Tensor]:
        latent = Latent.draw(part.q, part.prior, 1)
        return {"z": latent.z[0], "log_q": latent.log_q[0]}

    def update(self, part: EncodedBatch, measured: dict[str, Tensor]) -> None:
        if len(measured["z"]):
            self.posteriors.append(part.q)
            self.prior = part.prior
            if self.uses_all_draws or sum(len(one["z"]) for one in self.draws) < self.count:
                self.draws.append(measured)

    def gather(self) -> None:
        parts = process_group.all_gather_object((self.posteriors, self.draws, self.prior))
        self.posteriors = [q for posteriors, _, _ in parts for q in posteriors]
        self.draws = [one for _, draws, _ in parts for one in draws]
        self.prior = next((prior for _, _, prior in parts if prior is not None), None)

    def compute(self) -> Values:
        if self.prior is None:
            return {}
        draws, log_q = (torch.cat([one[name] for one in self.draws]) for name in ("z", "log_q"))
        z, log_q = draws[: self.count], log_q[: self.count]
        if self.uses_all_draws:
            spread = draws.var(0, unbiased=False).mean()
        else:
            means, variances = (torch.cat([getattr(q, name) for q in self.posteriors]) for name in ("mean", "variance"))
            spread = (means.var(0, unbiased=False) + variances.mean(0)).mean()
        mmd = RBFMMD(bandwidths=[z.shape[-1] ** 0.5], unbiased=True)  # the median heuristic's for N(0, I)
        return {
            **asdict(information(self.posteriors, self.prior, z, log_q)),
            "aggregated_mmd": float(mmd(z, self.prior.sample(z.shape[:1]))),
            "aggregated_variance": float(spread),
        }


class ActiveUnits(Metric):
    """Latent dimensions whose posterior mean varies over the data (Burda et al. 2015)."""

    title = "active units"
    numbers: ClassVar = numbers.ACTIVE_UNITS

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.sums = Sums()

    @classmethod
    def applies(cls, context: Context) -> bool:
        return is_continuous_density(context)

    def measure(self, part: EncodedBatch) -> dict[str, Tensor]:
        return {"mean": part.q.mean}

    def update(self, part: EncodedBatch, measured: dict[str, Tensor]) -> None:
        self.sums.add(measured["mean"].flatten(1).T)

    def gather(self) -> None:
        self.sums.gather()

    def compute(self) -> Values:
        if not self.sums.count:
            return {}
        variances = self.sums.squares / self.sums.count - (self.sums.sums / self.sums.count).square()
        return {"active_units": int((variances > self.context.settings.active_threshold).sum())}


class CodeGrids(Protocol):
    """A q(z|x) of codes: indices (B, n) among `n_codes`."""

    indices: Tensor

    @property
    def n_codes(self) -> int: ...


class CodeUsage(Metric):
    """Use of the K codes of a codebook over the n positions of each example."""

    title = "numbers of the use of the codes"
    numbers: ClassVar = numbers.CODE_USAGE

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.n_positions, self.counts = 0, torch.zeros(0, dtype=torch.int64)

    @classmethod
    def applies(cls, context: Context) -> bool:
        return "codes" in context.model.posterior.provides

    def measure(self, part: EncodedBatch) -> dict[str, Tensor]:
        return {"indices": cast(CodeGrids, part.q).indices}

    def update(self, part: EncodedBatch, measured: dict[str, Tensor]) -> None:
        indices = measured["indices"]
        counts = torch.bincount(indices.flatten(), minlength=cast(CodeGrids, part.q).n_codes)
        self.counts = self.counts + counts if self.n_positions else counts
        self.n_positions = indices.shape[1]

    def gather(self) -> None:
        parts = [part for part in process_group.all_gather_object((self.n_positions, self.counts.cpu())) if part[0]]
        if parts:
            self.n_positions, self.counts = parts[0][0], total(counts for _, counts in parts)

    def compute(self) -> Values:
        if not self.counts.sum():
            return {}
        usage = {f"code_{name}": float(value) for name, value in Usage.of(self.counts)._asdict().items()}
        return {**usage, "code_uniform_rate": self.n_positions * math.log(len(self.counts))}
