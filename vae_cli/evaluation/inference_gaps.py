"""Inference gaps: log p(x) >= ELBO of the best q(z|x) of a family >= ELBO of the encoder (Cremer et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.config.schema import GapsConfig
from vae_cli.evaluation.ais import ais_log_likelihood, bidirectional
from vae_cli.evaluation.estimators import elbo, iw_log_likelihood
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.refinement import refine


@torch.no_grad()
def inference_gaps(model: LatentVariableModel, batch: Batch, rows: int, settings: GapsConfig) -> dict[str, Tensor]:
    """The numbers of `metrics.gaps.InferenceGaps` by name, nats, (B,) each, for a Gaussian q(z|x).

    Importance weights under the encoder's q have heavier tails than under the refined one. simulated_lower and
    simulated_upper bound log p(x) of as many x drawn from the model: their distance bounds the error of annealed
    importance sampling.
    """
    q = model.encode(batch)
    annealing = (settings.chains, settings.temperatures, settings.leapfrogs)
    log_p = ais_log_likelihood(model, batch, q, *annealing)
    best = refine(model, batch, q, steps=settings.refine_steps, samples=settings.refine_samples, lr=settings.refine_lr)
    own, refined = (elbo(model, batch, one, settings.elbo_samples, rows).elbo for one in (q, best))
    z = model.prior().sample(torch.Size((len(batch),)))
    simulated = Batch(model.decode(z.unsqueeze(0)).sample()[0], batch.index)
    sandwich = bidirectional(model, simulated, z, *annealing)
    own_iw, refined_iw = (
        iw_log_likelihood(model, batch, one, settings.iw_samples, rows).log_likelihood for one in (q, best)
    )
    return {
        "elbo": own,
        "refined_elbo": refined,
        "iw_log_likelihood": own_iw,
        "refined_iw_log_likelihood": refined_iw,
        "ais_log_likelihood": log_p,
        "ais_over_refined_iw": log_p - refined_iw,
        "amortisation": refined - own,
        "approximation": log_p - refined,
        "simulated_lower": sandwich.lower,
        "simulated_upper": sandwich.upper,
    }
