"""The evidence lower bound, and what is left of it without a density."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vae_cli.models import VAE
from vae_cli.objectives.objective import Objective, Terms
from vae_cli.trace import Batch, Trace
from vae_cli.types import NonNegativeFloat, PositiveInt


class ELBO(Objective):
    """distortion + beta sum_j max(KL_j, free_bits): the negative ELBO at beta = 1, beta-VAE otherwise.

    `free_bits`, in nats, is a floor under the KL of each latent dimension (Kingma et al. 2016, eq. 15), taken for each
    image, so that it does not depend on the batch size; a posterior that does not factorise is one group. beta:
    Higgins et al. 2017, eq. 4.
    """

    anneals: ClassVar = ("beta",)

    def __init__(
        self,
        *,
        beta: NonNegativeFloat,
        free_bits: NonNegativeFloat,
        samples: PositiveInt,
    ) -> None:
        super().__init__()
        self.beta, self.free_bits, self.samples = beta, free_bits, samples

    def rates(self, trace: Trace, batch: Batch) -> Tensor:
        """The rate by independent groups of dimensions, (B, G)."""
        return torch.cat([latent.kl_groups for latent in trace.latents], -1)

    def forward(self, model: VAE, batch: Batch) -> Terms:
        """The terms of this batch."""
        trace = model.trace(batch, model.encode(batch), self.samples)
        rates = self.rates(trace, batch)
        distortion, rate = trace.distortion.mean(), rates.sum(-1).mean()
        penalty = rates.clamp(min=self.free_bits).sum(-1).mean() if self.free_bits else rate
        loss = distortion + self.annealed("beta", self.beta) * penalty
        return Terms(loss, {"loss": loss, "distortion": distortion, "rate": rate, "elbo": -distortion - rate})


class Reconstruction(Objective):
    """-E_q log p(x|z): the autoencoder's loss (with a fixed Gaussian likelihood, the squared error up to constants)."""

    needs_density: ClassVar = False

    def forward(self, model: VAE, batch: Batch) -> Terms:
        """The terms of this batch."""
        distortion = model.trace(batch, model.encode(batch), 1).distortion.mean()
        return Terms(distortion, {"loss": distortion, "distortion": distortion})
