"""InfoVAE: reconstruction, a rate, and a divergence between the aggregated posterior and the prior."""

from __future__ import annotations

from typing import ClassVar

import torch

from vae_cli.batch import Batch
from vae_cli.distributed.shard import draw_rows
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives.annealing import Annealing
from vae_cli.objectives.divergences import Divergence
from vae_cli.objectives.objective import Objective, Progress, Terms
from vae_cli.types import PositiveInt


class InfoVAE(Objective):
    """distortion + (1 - alpha) rate + (alpha + lambda - 1) D(q(z), p(z)) (Zhao et al. 2019, eq. 6).

    (alpha, lambda) = (0, 1) is the negative ELBO, (1 - b, b) that of beta-VAE with beta = b; alpha = 1 leaves D alone:
    with MMD the Wasserstein autoencoder (Tolstikhin et al. 2018), with a discriminator the adversarial one (Makhzani et
    al. 2016), whose posteriors may be deterministic.
    D compares one z ~ q(z|x) of each image of the batch with as many z ~ p(z).

    Args:
        alpha: weight of the mutual information; at 1 the rate is left out
        lambda_: lambda, the weight of the divergence at alpha = 1
        samples: draws of z for each image in the distortion and the rate
    """

    provides: ClassVar = ("inference", "selection", "divergence", "alpha_lambda")
    requires: ClassVar = {"posterior": ("inference",), "divergence": ("compares_z",)}
    anneals: ClassVar = ("rate", "divergence")

    def __init__(
        self,
        divergence: Divergence,
        annealing: Annealing | None = None,
        *,
        alpha: float,
        lambda_: float,
        samples: PositiveInt,
    ) -> None:
        super().__init__(annealing)
        self.divergence, self.alpha, self.lambda_, self.samples = divergence, alpha, lambda_, samples

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        trace = model.trace(batch, model.encode(batch), self.samples)
        z = torch.cat([latent.z[0].flatten(1) for latent in trace.latents], -1)
        prior = draw_rows(model.prior().sample, len(z)).flatten(1)
        divergence = self.divergence(z, prior)
        weight = self.annealed("divergence", self.alpha + self.lambda_ - 1, progress)
        loss, metrics = trace.distortion.mean() + weight * divergence, {"divergence": divergence}
        if discriminator := self.divergence.discriminator_loss(z, prior):
            loss, metrics = loss + discriminator.loss, metrics | discriminator.metrics
        if not model.has_density:
            return Terms.of(trace, loss, None, **metrics)
        rate = trace.rate.mean()
        return Terms.of(trace, loss + self.annealed("rate", 1 - self.alpha, progress) * rate, rate, **metrics)
