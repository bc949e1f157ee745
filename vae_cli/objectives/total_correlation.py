"""Objectives that weigh the total correlation of q(z): beta-TCVAE and FactorVAE."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.distributed.shard import gather_rows, own_rows
from vae_cli.distributed.streams import from_each_stream
from vae_cli.models.aggregate_posterior import decompose, log_minibatch_weights, log_stratified_weights
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.trace import total
from vae_cli.objectives.annealing import Annealing
from vae_cli.objectives.discriminators import dense_discriminator, logistic
from vae_cli.objectives.objective import Objective, Progress, Terms
from vae_cli.types import NonNegativeFloat, PositiveInt


class TCVAE(Objective):
    """distortion + alpha I_q(x; z) + beta TC + gamma sum_j KL(q(z_j) || p(z_j)) (Chen et al. 2018, eq. 4).

    The parts are estimated within the batch by minibatch-weighted sampling; at alpha = beta = gamma their sum is the
    sampled rate.

    Args:
        alpha: weight of the mutual information
        beta: weight of the total correlation
        gamma: weight of the KL of each dimension
    """

    requires: ClassVar = {"posterior": ("inference", "density", "factorised")}
    anneals: ClassVar = ("alpha", "beta", "gamma")

    def __init__(
        self,
        annealing: Annealing | None = None,
        *,
        alpha: NonNegativeFloat,
        beta: NonNegativeFloat,
        gamma: NonNegativeFloat,
    ) -> None:
        super().__init__(annealing)
        self.alpha, self.beta, self.gamma = alpha, beta, gamma

    def log_weights(self, batch: Batch, examples: int) -> Tensor:
        """log weight of each pair of a code and an image, (B, B), for a training set of `examples` examples."""
        return log_minibatch_weights(batch.total, examples, batch.x)

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        trace = model.trace(batch, model.encode(batch), 1)
        (latent,) = trace.latents
        parts = decompose(latent, self.log_weights(batch, progress.examples))
        weights = [self.annealed(name, getattr(self, name), progress) for name in self.anneals]
        named = vars(parts)
        loss = trace.distortion.mean() + total(w * part for w, part in zip(weights, named.values(), strict=True))
        return Terms.of(trace, loss, trace.rate.mean(), **named)


class StratifiedTCVAE(TCVAE):
    """`TCVAE` with minibatch stratified sampling, which is unbiased for q(z) (Chen et al. 2018, appendix C.2)."""

    def log_weights(self, batch: Batch, examples: int) -> Tensor:
        return log_stratified_weights(batch.total, examples, batch.x)


class FactorVAE(Objective):
    """distortion + rate + gamma TC(q(z)), TC = E_q(z) T(z) by a discriminator T (Kim & Mnih 2018, eq. 2 and 3).

    The discriminator tells codes of the batch from codes with each dimension permuted over the batch: its optimal T is
    log q(z) - sum_j log q(z_j).

    Args:
        gamma: weight of the total correlation
        hidden: widths of the hidden layers of the discriminator
    """

    requires: ClassVar = {"posterior": ("inference", "density", "single_layer")}
    anneals: ClassVar = ("gamma",)

    def __init__(
        self,
        latent_dim: int,
        annealing: Annealing | None = None,
        *,
        gamma: NonNegativeFloat,
        hidden: list[PositiveInt],
    ) -> None:
        super().__init__(annealing)
        self.gamma, self.discriminator = gamma, dense_discriminator(latent_dim, hidden, spectral=False)

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        trace = model.trace(batch, model.encode(batch), 1)
        (latent,) = trace.latents
        z = latent.z[0]
        columns = gather_rows(z.detach()).unbind(-1)
        orders = [from_each_stream(lambda: torch.randperm(len(columns[0]), device=z.device)) for _ in columns]
        permuted = own_rows(torch.stack([one[order] for one, order in zip(columns, orders, strict=True)], -1))
        rate, correlation = trace.rate.mean(), self.discriminator.frozen_forward(z).mean()
        discriminator = logistic(self.discriminator, z, permuted)
        weight = self.annealed("gamma", self.gamma, progress)
        loss = trace.distortion.mean() + rate + weight * correlation + discriminator.loss
        return Terms.of(trace, loss, rate, total_correlation=correlation, **discriminator.metrics)
