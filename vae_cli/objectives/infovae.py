"""InfoVAE: reconstruction, a rate, and a divergence between the aggregated posterior and the prior."""

from __future__ import annotations

from typing import ClassVar

import torch

from vae_cli.batch import Batch
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives.divergences import Divergence
from vae_cli.objectives.objective import Objective, Terms
from vae_cli.types import PositiveInt


class InfoVAE(Objective):
    """distortion + (1 - alpha) rate + (alpha + lambda - 1) D(q(z), p(z)) (Zhao et al. 2019, eq. 6).

    (alpha, lambda) = (0, 1) is the negative ELBO, (1 - b, b) that of beta-VAE with beta = b; alpha = 1 leaves D alone:
    with MMD the Wasserstein autoencoder (Tolstikhin et al. 2018), with a discriminator the adversarial one (Makhzani et
    al. 2016), whose posteriors may be deterministic.
    D compares one z ~ q(z|x) of each image of the batch with as many z ~ p(z).
    """

    provides: ClassVar = ("inference", "selection", "divergence", "alpha_lambda")
    requires: ClassVar = {"posterior": ("inference",), "divergence": ("compares_z",), "trainer": ("whole_batch",)}
    anneals: ClassVar = ("rate", "divergence")

    def __init__(self, divergence: Divergence, *, alpha: float, lambda_: float, samples: PositiveInt) -> None:
        super().__init__()
        self.divergence, self.alpha, self.lambda_, self.samples = divergence, alpha, lambda_, samples

    def forward(self, model: LatentVariableModel, batch: Batch) -> Terms:
        """The terms of this batch."""
        trace = model.trace(batch, model.encode(batch), self.samples)
        z = torch.cat([latent.z[0].flatten(1) for latent in trace.latents], -1)
        prior = model.prior().sample(z.shape[:1]).flatten(1)
        distortion, divergence = trace.distortion.mean(), self.divergence(z, prior)
        loss = distortion + self.annealed("divergence", self.alpha + self.lambda_ - 1) * divergence
        metrics = {"distortion": distortion, "divergence": divergence}
        if discriminator_loss := self.divergence.discriminator_loss(z, prior):
            loss = loss + discriminator_loss.loss
            metrics |= {
                "discriminator_loss": discriminator_loss.loss,
                "discriminator_accuracy": discriminator_loss.accuracy,
            }
        if model.has_density:
            rate = trace.rate.mean()
            loss = loss + self.annealed("rate", 1 - self.alpha) * rate
            metrics |= {"rate": rate, "elbo": -distortion - rate}
        return Terms(loss, {"loss": loss, **metrics})
