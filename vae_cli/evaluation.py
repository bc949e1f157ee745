"""Every number of a data split: bounds, log-likelihood, active units, reconstruction error, for any model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae_cli.config import EvaluateConfig
from vae_cli.estimators import elbo, iw_log_likelihood, prior_proposal, rows_at_once
from vae_cli.metrics import ActiveUnits, Means
from vae_cli.models import VAE
from vae_cli.trace import Batch


@dataclass(frozen=True)
class DataFacts:
    """What a model has to know of the data it was trained on; kept in its checkpoint."""

    name: str
    event_shape: tuple[int, ...]
    domain: str
    sha256: str


class Evaluation(nn.Module):
    """Accumulates a split batch by batch; `compute` gives flat names, each mean with its standard error `..._se`.

    With a posterior density: elbo, distortion, rate, iw_log_likelihood (k = iw_samples), effective_sample_size,
    active_units, and bits_per_dim = -iw_log_likelihood / (D log 2) where the likelihood is a probability.
    Without one there is no bound: distortion and reconstruction error only. All in nats, means over images.
    """

    def __init__(self, settings: EvaluateConfig, facts: DataFacts) -> None:
        super().__init__()
        self.settings, self.facts = settings, facts
        self.means, self.active = Means(), ActiveUnits(settings.active_threshold)
        self.has_density = self.discrete = True

    def update(self, model: VAE, batch: Batch) -> None:
        """Add a batch."""
        encoded = model.encode(batch)
        self.has_density = model.has_density
        reconstruction = model.decode(encoded.mean.unsqueeze(0))
        self.discrete = model.likelihood.discrete
        error = (reconstruction.mean[0] - batch.x).square().flatten(1).sum(1)
        values: dict[str, Tensor] = {"reconstruction_error": error}
        if model.has_density:
            bound = elbo(model, batch, encoded, self.settings.elbo_samples)
            values |= {"elbo": bound.elbo, "distortion": bound.distortion, "rate": bound.rate}
            proposal = prior_proposal(model, batch) if self.settings.estimator == "prior" else encoded
            rows = rows_at_once(model, batch.x, self.settings.memory_mb)
            importance = iw_log_likelihood(model, batch, proposal, self.settings.samples, rows)
            values |= {
                "iw_log_likelihood": importance.log_likelihood,
                "effective_sample_size": importance.effective_sample_size,
            }
            self.active.update(encoded.mean)
        else:
            values["distortion"] = -reconstruction.log_prob(batch.x)[0]
        self.means.update(values)

    def compute(self) -> dict[str, float]:
        """The numbers of all batches so far."""
        results: dict[str, float] = {}
        for name, mean in self.means.compute().items():
            results |= {name: mean.mean, f"{name}_se": mean.standard_error}
        if self.has_density:
            results["iw_samples"] = self.settings.samples
            results["active_units"] = self.active.compute()
            if self.discrete:
                scale = math.prod(self.facts.event_shape) * math.log(2)
                results["bits_per_dim"] = -results["iw_log_likelihood"] / scale
                results["bits_per_dim_se"] = results["iw_log_likelihood_se"] / scale
        return results

    def reset(self) -> None:
        """Forget all batches."""
        self.means.reset()
        self.active.reset()


@torch.no_grad()
def validation_terms(model: VAE, batch: Batch) -> dict[str, Tensor]:
    """What selects a checkpoint, from one draw of z an image: elbo at beta = 1 with its parts, or distortion alone."""
    trace = model.trace(batch, model.encode(batch), 1)
    if not model.has_density:
        return {"distortion": trace.distortion}
    return {"elbo": trace.elbo, "distortion": trace.distortion, "rate": trace.rate}
