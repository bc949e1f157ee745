"""Objectives: what training minimises, as weighted named terms of a trace. Sums over dimensions, means over data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from vae_cli.models import VAE
from vae_cli.trace import Batch, total
from vae_cli.types import NonNegativeFloat, PositiveInt


@dataclass(frozen=True)
class Terms:
    """The scalar to minimise, and the named parts of it, each a mean over the batch in nats."""

    loss: Tensor
    metrics: dict[str, Tensor]


class Objective(nn.Module):
    """Called with (model, batch); `epoch` is the training's clock, in epochs, that schedules read."""

    needs_density: ClassVar = True
    epoch: float = 0.0

    def forward(self, model: VAE, batch: Batch) -> Terms:
        """The terms of this batch."""
        raise NotImplementedError


class ELBO(Objective):
    """distortion + beta sum_j max(KL_j, free_bits): the negative ELBO at beta = 1, beta-VAE otherwise.

    beta rises linearly from 0 over `warmup_epochs` (Sonderby et al. 2016). `free_bits`, in nats, is a floor under the
    KL of each latent dimension (Kingma et al. 2016, eq. 15), taken for each image, so that it does not depend on the
    batch size; a posterior that does not factorise is one group. beta: Higgins et al. 2017, eq. 4.
    """

    def __init__(
        self,
        *,
        beta: NonNegativeFloat,
        warmup_epochs: NonNegativeFloat,
        free_bits: NonNegativeFloat,
        samples: PositiveInt,
    ) -> None:
        super().__init__()
        self.beta, self.warmup_epochs, self.free_bits, self.samples = beta, warmup_epochs, free_bits, samples

    @property
    def current_beta(self) -> float:
        """beta now."""
        return self.beta * min(1.0, self.epoch / self.warmup_epochs) if self.warmup_epochs else self.beta

    def forward(self, model: VAE, batch: Batch) -> Terms:
        """The terms of this batch."""
        trace = model.trace(batch, model.encode(batch), self.samples)
        distortion, rate = trace.distortion.mean(), trace.rate.mean()
        penalty = rate
        if self.free_bits:
            penalty = total(latent.kl_groups.clamp(min=self.free_bits).sum(-1).mean() for latent in trace.latents)
        loss = distortion + self.current_beta * penalty
        return Terms(loss, {"loss": loss, "distortion": distortion, "rate": rate, "elbo": -distortion - rate})


class Reconstruction(Objective):
    """-E_q log p(x|z): the autoencoder's loss (with a fixed Gaussian likelihood, the squared error up to constants)."""

    needs_density: ClassVar = False

    def forward(self, model: VAE, batch: Batch) -> Terms:
        """The terms of this batch."""
        distortion = model.trace(batch, model.encode(batch), 1).distortion.mean()
        return Terms(distortion, {"loss": distortion, "distortion": distortion})
