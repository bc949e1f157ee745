"""Every number of a data split: bounds, log-likelihood, active units, reconstruction error, for any model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_cli.batch import Batch
from vae_cli.config.schema import EvaluateConfig
from vae_cli.distributed import process_group
from vae_cli.distributions.distributions import PushforwardDistribution
from vae_cli.distributions.mixtures import is_mixture, log_responsibilities
from vae_cli.distributions.overflow import counted, finite_rows, without_overflow
from vae_cli.distributions.standardisation import Standardisation
from vae_cli.evaluation.chunking import AdaptiveChunks
from vae_cli.evaluation.estimators import elbo, iw_log_likelihood, prior_proposal, rows_at_once
from vae_cli.evaluation.metrics import ActiveUnits, Clusters, CodeCounts, Means
from vae_cli.evaluation.optional import optional
from vae_cli.models.aggregate_posterior import information
from vae_cli.models.code_distributions import QuantisedDelta
from vae_cli.models.hierarchy import HierarchicalDistribution
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.trace import Latent, layer_rates
from vae_cli.objectives.divergences import RBFMMD
from vae_cli.types import Domain

if TYPE_CHECKING:
    from vae_cli.datasets import Data

Number = float | list[float]

CODES, INVERTED = 2000, 100
"""Draws at which the aggregated posterior is evaluated: fewer where each has to be inverted under every posterior."""


@dataclass(frozen=True)
class DatasetInfo:
    """What a model has to know of the data it was trained on; kept in its checkpoint.

    examples: of the training split; earlier checkpoints do not know them, nor what follows
    standardisation: what the data are scaled by, if they are
    class_names: of the labels, where they are names
    """

    name: str
    event_shape: tuple[int, ...]
    domain: Domain
    sha256: str
    examples: int = 0
    standardisation: Standardisation | None = None
    class_names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, data: Data) -> DatasetInfo:
        """Of these data."""
        return cls(
            name=data.name,
            event_shape=data.event_shape,
            domain=data.domain,
            sha256=data.sha256,
            examples=len(data.train),
            standardisation=data.standardisation,
            class_names=data.class_names,
        )

    @classmethod
    def read(cls, kept: dict[str, Any]) -> DatasetInfo:
        """From a checkpoint, where they are plain containers and tensors."""
        statistics, names = kept.get("standardisation"), kept.get("class_names")
        units = None if statistics is None else Standardisation(statistics["mean"], statistics["scale"])
        changes = {"standardisation": units, "class_names": None if names is None else tuple(names)}
        return cls(**{**kept, "event_shape": tuple(kept["event_shape"]), **changes})


@dataclass(frozen=True)
class _Measured:
    """Of some images: values by name (B,), a latent where it has a density, log q(c|x) of a mixture, labels.

    sites and counts (K,) of codes, where z is made of them; positions in the split of those that are left out.
    """

    values: dict[str, Tensor]
    latent: Latent | None
    log_gamma: Tensor | None
    counts: tuple[int, Tensor] | None
    y: Tensor | None
    left_out: tuple[int, ...] = ()

    def finite(self) -> Tensor:
        """Whether all numbers of an example are, (B,)."""
        latent = self.latent
        gamma = [] if self.log_gamma is None else [self.log_gamma.exp()]  # log 0 is -inf, and no fault
        numbers = [*self.values.values(), *gamma]
        return finite_rows([*numbers, latent.z[0], latent.q.mean, latent.log_q[0]] if latent else numbers)


class Evaluation(nn.Module):
    """Accumulates a split batch by batch; `compute` gives flat names, each mean with its standard error `..._se`.

    With a posterior density: elbo, distortion, rate, active_units, iw_log_likelihood (k = iw_samples; from prior draws
    mc_log_likelihood, k = mc_samples), effective_sample_size, and bits_per_dim = -iw_log_likelihood / (D log 2) where
    the likelihood is a probability. Without one there is no bound: distortion and reconstruction error only.
    mutual_information I_q(x; z), aggregated_kl KL(q(z) || p(z)), aggregated_mmd the unbiased squared MMD between
    the two under an RBF kernel of bandwidth sqrt(d), and aggregated_variance, the mean over dimensions of Var z, are of
    the aggregated posterior q(z) of the whole split.
    Where z is discrete its draws are all the same and it has no directions: of all these elbo, distortion, rate,
    bits_per_dim = -elbo / (D log 2) and mc_log_likelihood remain, beside them code_perplexity, code_usage (see `Usage`)
    and code_uniform_rate, the rate n log K under equally likely codes.
    Under a mixture prior also cluster_entropy, cluster_occupancy and cluster_weights, and for labelled data
    cluster_accuracy, cluster_nmi and cluster_ari. Nats, means over images.
    Examples whose numbers are not finite are left out of all of these: `left_out` has their positions in the split, and
    not_finite_rows is how many they are, first_not_finite_rows which come first.
    """

    def __init__(self, settings: EvaluateConfig, facts: DatasetInfo) -> None:
        super().__init__()
        self.settings, self.facts = settings, facts
        self.estimator = "mc" if settings.estimator == "prior" else "iw"
        self.means, self.active, self.clusters = Means(), ActiveUnits(settings.active_threshold), Clusters()
        self.weights: list[float] = []
        self.codes = CodeCounts()
        self.encoded: list[Latent] = []
        self.prior: Distribution | None = None
        self.discrete = False
        self.rows: AdaptiveChunks | None = None
        self.left_out: list[int] = []

    def update(self, model: LatentVariableModel, batch: Batch) -> None:
        """Add a batch, in parts that keep within the memory budget."""
        self.discrete = model.likelihood.discrete
        if self.rows is None:
            self.rows = rows_at_once(model, batch.x.device, self.settings.memory_mb)
            self.rows.count = min(self.rows.count, len(batch) * max(self.settings.samples, self.settings.elbo_samples))
        for measured in self.rows.map(batch, partial(self._measure, model)):
            if latent := measured.latent:
                self.active.update(latent.q.mean)
                self.prior = latent.p
                self.encoded.append(latent)
            if measured.counts is not None:
                self.codes.update(*measured.counts)
            if measured.log_gamma is not None:
                self.clusters.update(measured.log_gamma, measured.y)
            self.means.update(measured.values)
            self.left_out += measured.left_out
        if is_mixture(prior := model.prior()):
            self.weights = prior.mixture_distribution.probs.tolist()

    def _measure(self, model: LatentVariableModel, part: Batch, rows: int) -> _Measured:
        """What is to be added of a part of a batch, without the examples whose numbers are not finite."""
        measured = self._all(model, part, rows)
        finite = measured.finite()
        if finite.all():
            return measured
        left_out = tuple(part.index[~finite].tolist())
        if not finite.any():
            names = {name: value[finite] for name, value in measured.values.items()}
            return _Measured(names, None, None, None, None, left_out)
        others = self._measure(model, part.rows(finite), rows)
        return replace(others, left_out=left_out + others.left_out)

    def _all(self, model: LatentVariableModel, part: Batch, rows: int) -> _Measured:
        """What is to be added of a part of a batch; nothing is, so that it can be measured again."""
        encoded, prior = model.encode(part), model.prior()
        reconstruction = model.decode(encoded.mean.unsqueeze(0))
        error = reconstruction.mean[0] - part.x
        if units := self.facts.standardisation:
            error = units.deviation(error)
        values = {"reconstruction_error": error.square().flatten(1).sum(1)}
        values |= bound_terms(model, part, encoded, self.settings.elbo_samples, rows)
        if model.has_density and (model.is_continuous or self.estimator == "mc"):
            proposal = prior_proposal(model, part) if self.estimator == "mc" else encoded
            importance = iw_log_likelihood(model, part, proposal, self.settings.samples, rows)
            values[f"{self.estimator}_log_likelihood"] = importance.log_likelihood
            values["effective_sample_size"] = importance.effective_sample_size
        latent = Latent.draw(encoded, prior, 1) if model.has_density and model.is_continuous else None
        gamma = log_responsibilities(prior, encoded) if is_mixture(prior) else None
        counts = (encoded.indices.shape[1], encoded.counts) if isinstance(encoded, QuantisedDelta) else None
        return _Measured(values, latent, gamma, counts, part.y)

    @torch.no_grad()
    def compute(self) -> dict[str, Number]:
        """The numbers of all batches so far, those of all processes."""
        for metric in (self.means, self.active, self.clusters, self.codes):
            metric.gather()
        parts = process_group.all_gather_object((self.encoded, self.prior, self.weights, self.discrete))
        self.encoded = [latent for part in parts for latent in part[0]]
        self.prior, self.weights, self.discrete = next((part[1:] for part in parts if part[0] or part[2]), parts[0][1:])
        self.left_out = sorted(index for part in process_group.all_gather_object(self.left_out) for index in part)
        results: dict[str, Number] = {"examples": int(self.means.count)} | counted(self.left_out)
        means = self.means.compute()
        for name, mean in means.items():
            results |= {name: mean.mean, f"{name}_se": mean.standard_error}
        if f"{self.estimator}_log_likelihood" in results:
            results[f"{self.estimator}_samples"] = self.settings.samples
        if self.encoded:
            results["active_units"] = self.active.compute()
        best = "elbo" if self.codes.counted else "iw_log_likelihood"
        if self.discrete and best in results:
            scale = math.prod(self.facts.event_shape) * math.log(2)
            bits = means[best]
            results |= {"bits_per_dim": -bits.mean / scale, "bits_per_dim_se": bits.standard_error / scale}
        sides: dict[str, Callable[[], dict[str, Number]]] = {
            "aggregated posterior": self._information,
            "clusters": self._clustering,
            "use of the codes": lambda: {**self.codes.compute()},
        }
        for name, compute in sides.items():
            with optional(f"numbers of the {name}"):
                results |= compute()
        return results

    def _information(self) -> dict[str, Number]:
        """Of the aggregated posterior of the whole split, at one draw from each of the first images."""
        if self.prior is None:
            return {}
        draws = [torch.cat([getattr(latent, name)[0] for latent in self.encoded]) for name in ("z", "log_q")]
        posteriors = [latent.q for latent in self.encoded]
        count = INVERTED if isinstance(posteriors[0], PushforwardDistribution) else CODES
        z, log_q = (values[:count] for values in draws)
        if isinstance(
            posteriors[0], HierarchicalDistribution
        ):  # whose moments are those given the means of the layers above
            spread = draws[0].var(0, unbiased=False).mean()
        else:
            means, variances = (torch.cat([getattr(q, name) for q in posteriors]) for name in ("mean", "variance"))
            spread = (means.var(0, unbiased=False) + variances.mean(0)).mean()
        mmd = RBFMMD(bandwidths=[z.shape[-1] ** 0.5], unbiased=True)  # the median heuristic's for N(0, I)
        return {
            **asdict(information(posteriors, self.prior, z, log_q)),
            "aggregated_mmd": float(mmd(z, self.prior.sample(z.shape[:1]))),
            "aggregated_variance": float(spread),
        }

    def _clustering(self) -> dict[str, Number]:
        if not self.clusters.assigned:
            return {}
        clustering = self.clusters.compute()
        numbers: dict[str, Number] = {
            "cluster_entropy": clustering.entropy,
            "cluster_entropy_se": clustering.entropy_se,
            "cluster_occupancy": clustering.occupancy,
            "cluster_weights": self.weights,
        }
        if agreement := clustering.agreement:
            numbers |= {f"cluster_{name}": value for name, value in agreement._asdict().items()}
        return numbers

    def reset(self) -> None:
        """Forget all batches."""
        self.means.reset()
        self.active.reset()
        self.clusters.reset()
        self.codes.reset()
        self.encoded, self.prior, self.left_out = [], None, []


@torch.no_grad()
def bound_terms(
    model: LatentVariableModel, batch: Batch, encoded: Distribution, samples: int, rows: int
) -> dict[str, Tensor]:
    """elbo at beta = 1 with its parts, rate_z1, ... of several layers; distortion alone without a bound. Each (B,)."""
    if not model.has_density:
        return {"distortion": -without_overflow(-model.trace(batch, encoded, 1).distortion)}
    bound = elbo(model, batch, encoded, samples, rows)
    numbers = {"elbo": bound.elbo, "distortion": bound.distortion, "rate": bound.rate}
    return numbers | layer_rates(bound.rates)
