"""What an encoder gives away: log p(x) >= the best ELBO of its family >= its own (Cremer et al. 2018, eq. 7 and 8)."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.config.schema import GapsConfig
from vae_cli.errors import UserError
from vae_cli.evaluation.ais import ais_log_likelihood, bidirectional
from vae_cli.evaluation.estimators import elbo, iw_log_likelihood
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.refinement import refine


def check_gaps(model: LatentVariableModel) -> None:
    """Raises a UserError where a model has none."""
    if not model.infers:
        raise UserError("evaluate=gaps: the model has no encoder, so it has no bound and no gap")
    if not model.has_density:
        raise UserError("evaluate=gaps: q(z|x) is deterministic, so it has no bound and no gap")
    if not model.is_continuous:
        raise UserError("evaluate=gaps: z is discrete, and moves along gradients need a continuous one")
    if "refinable" not in model.posterior.provides:
        raise UserError("evaluate=gaps: q(z|x) is compared with the best Gaussian, and is none itself")


@torch.no_grad()
def inference_gaps(model: LatentVariableModel, batch: Batch, rows: int, settings: GapsConfig) -> dict[str, Tensor]:
    """Nats, (B,) each.

    approximation = ais_log_likelihood - refined_elbo, what the family cannot express; amortisation = refined_elbo -
    elbo, what the encoder does not reach of it. ais_over_refined_iw is 0 within its error where both estimates of log p
    are right; importance weights under the encoder's own q have heavier tails. simulated_lower and simulated_upper
    hold log p of as many x drawn from the model between them: how far they are apart is what annealed importance
    sampling can be wrong by.
    """
    check_gaps(model)
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
