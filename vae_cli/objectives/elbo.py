"""The evidence lower bound, and the reconstruction loss for posteriors without a density."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.trace import Trace, layer_rates, total
from vae_cli.objectives.annealing import Annealing
from vae_cli.objectives.objective import Objective, Progress, Terms
from vae_cli.types import NonNegativeFloat, PositiveInt


class ELBO(Objective):
    """distortion + beta sum_j max(KL_j, free_bits): the negative ELBO at beta = 1, beta-VAE otherwise.

    Args:
        beta: weight of the rate (Higgins et al. 2017, eq. 4)
        free_bits: nats, a floor under the KL of each latent dimension (Kingma et al. 2016, eq. 15), applied to each
            image, so that it does not depend on the batch size; a posterior that does not factorise is one group. One
            number, or one for each layer of latents, the nearest to x first
        samples: draws of z for each image
    """

    provides: ClassVar = ("inference", "rate", "selection", "elbo", "expectation")
    anneals: ClassVar = ("beta",)

    def __init__(
        self,
        annealing: Annealing | None = None,
        *,
        beta: NonNegativeFloat,
        free_bits: NonNegativeFloat | list[NonNegativeFloat],
        samples: PositiveInt,
    ) -> None:
        super().__init__(annealing)
        self.beta, self.free_bits, self.samples = beta, free_bits, samples

    @property
    def elbo_beta(self) -> float:
        return self.beta

    def rates(self, trace: Trace, batch: Batch) -> list[Tensor]:
        """The rate of each latent by independent groups of its dimensions, (B, G)."""
        return [latent.kl_groups for latent in trace.latents]

    def floored(self, rates: list[Float[Tensor, "B _"]]) -> Float[Tensor, " B"]:
        """sum_j max(KL_j, free_bits), (B,); a floor of 0 is none, because a sampled KL may be negative."""
        floors = self.free_bits if isinstance(self.free_bits, Sequence) else [self.free_bits] * len(rates)
        return total(
            (rate.clamp(min=floor) if floor else rate).sum(-1) for rate, floor in zip(rates, floors, strict=True)
        )

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        trace = model.trace(batch, model.encode(batch), self.samples)
        rates = self.rates(trace, batch)
        layers = [rate.sum(-1).mean() for rate in rates]
        loss = trace.distortion.mean() + self.annealed("beta", self.beta, progress) * self.floored(rates).mean()
        return Terms.of(trace, loss, total(layers), **layer_rates(layers))


class Reconstruction(Objective):
    """-E_q log p(x|z): the autoencoder's loss (with a fixed Gaussian likelihood, the squared error up to constants)."""

    provides: ClassVar = ("inference", "selection")
    requires: ClassVar = {"posterior": ("inference",)}

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        trace = model.trace(batch, model.encode(batch), 1)
        return Terms.of(trace, trace.distortion.mean(), None)
