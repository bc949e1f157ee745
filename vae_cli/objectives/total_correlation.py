"""Objectives that weigh the total correlation of q(z): beta-TCVAE and FactorVAE."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.models.aggregate_posterior import decompose, log_minibatch_weights, log_stratified_weights
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.trace import total
from vae_cli.objectives.discriminators import dense_discriminator, logistic
from vae_cli.objectives.objective import Objective, Terms
from vae_cli.types import NonNegativeFloat, PositiveInt


class TCVAE(Objective):
    """distortion + alpha I_q(x; z) + beta TC + gamma sum_j KL(q(z_j) || p(z_j)) (Chen et al. 2018, eq. 4).

    The parts are estimated within the batch by minibatch-weighted sampling; at alpha = beta = gamma their sum is the
    sampled rate whatever the weights of the pairs are.
    """

    requires: ClassVar = {"posterior": ("inference", "density", "factorised"), "trainer": ("whole_batch",)}
    anneals: ClassVar = ("alpha", "beta", "gamma")

    def __init__(self, *, alpha: NonNegativeFloat, beta: NonNegativeFloat, gamma: NonNegativeFloat) -> None:
        super().__init__()
        self.alpha, self.beta, self.gamma = alpha, beta, gamma

    def log_weights(self, batch: Batch) -> Tensor:
        """Of each pair of a code and an image, (B, B)."""
        return log_minibatch_weights(len(batch), self.examples, batch.x)

    def forward(self, model: LatentVariableModel, batch: Batch) -> Terms:
        """The terms of this batch."""
        trace = model.trace(batch, model.encode(batch), 1)
        (latent,) = trace.latents
        parts = decompose(latent, self.log_weights(batch))
        distortion, rate = trace.distortion.mean(), trace.rate.mean()
        information, correlation, single = parts.mutual_information, parts.total_correlation, parts.dimension_kl
        weights = [self.annealed(name, getattr(self, name)) for name in self.anneals]
        loss = distortion + total(w * part for w, part in zip(weights, (information, correlation, single), strict=True))
        return Terms(
            loss,
            {
                "loss": loss,
                "distortion": distortion,
                "rate": rate,
                "elbo": -distortion - rate,
                "mutual_information": information,
                "total_correlation": correlation,
                "dimension_kl": single,
            },
        )


class StratifiedTCVAE(TCVAE):
    """The same with minibatch stratified sampling, which is unbiased for q(z) (Chen et al. 2018, appendix C.2)."""

    def log_weights(self, batch: Batch) -> Tensor:
        """Of each pair of a code and an image, (B, B)."""
        return log_stratified_weights(len(batch), self.examples, batch.x)


class FactorVAE(Objective):
    """distortion + rate + gamma TC(q(z)), TC = E_q(z) T(z) by a discriminator T (Kim & Mnih 2018, eq. 2 and 3).

    The discriminator learns to tell codes of the batch from codes with each dimension permuted over the batch: its
    optimal T is log q(z) - sum_j log q(z_j).
    """

    requires: ClassVar = {"posterior": ("inference", "density", "single_layer"), "trainer": ("whole_batch",)}
    anneals: ClassVar = ("gamma",)

    def __init__(self, latent_dim: int, *, gamma: NonNegativeFloat, hidden: list[PositiveInt]) -> None:
        super().__init__()
        self.gamma, self.discriminator = gamma, dense_discriminator(latent_dim, hidden, spectral=False)

    def forward(self, model: LatentVariableModel, batch: Batch) -> Terms:
        """The terms of this batch."""
        trace = model.trace(batch, model.encode(batch), 1)
        (latent,) = trace.latents
        z = latent.z[0]
        permuted = torch.stack([column[torch.randperm(len(z), device=z.device)] for column in z.unbind(-1)], -1)
        distortion, rate, correlation = (
            trace.distortion.mean(),
            trace.rate.mean(),
            self.discriminator.frozen_forward(z).mean(),
        )
        discriminator_loss = logistic(self.discriminator, z, permuted)
        loss = distortion + rate + self.annealed("gamma", self.gamma) * correlation + discriminator_loss.loss
        return Terms(
            loss,
            {
                "loss": loss,
                "distortion": distortion,
                "rate": rate,
                "elbo": -distortion - rate,
                "total_correlation": correlation,
                "discriminator_loss": discriminator_loss.loss,
                "discriminator_accuracy": discriminator_loss.accuracy,
            },
        )
