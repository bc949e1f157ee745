"""The losses of a VQ-VAE: reconstruction and codebook, and then the prior over the codes."""

from __future__ import annotations

from typing import ClassVar, cast

import torch

from vae_cli.batch import Batch
from vae_cli.distributed.shard import gather_rows
from vae_cli.distributions.precision import float32
from vae_cli.models.code_distributions import QuantisedDelta
from vae_cli.models.codebooks import Usage
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.trace import Latent
from vae_cli.objectives.objective import Objective, Progress, Terms
from vae_cli.types import NonNegativeFloat


class VectorQuantisation(Objective):
    """distortion + beta |z_e - sg[e]|^2 + the loss of the codebook (van den Oord et al. 2017, eq. 3).

    The rate has no gradient into the encoder. The squared distance is summed over positions and dimensions.

    Args:
        commitment: beta
    """

    provides: ClassVar = ("inference", "rate", "selection", "codes")
    requires: ClassVar = {"posterior": ("inference", "density", "codes")}

    def __init__(self, *, commitment: NonNegativeFloat) -> None:
        super().__init__()
        self.commitment = commitment

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        trace = model.trace(batch, model.encode(batch), 1)
        q, distortion = cast(QuantisedDelta, trace.latents[0].q), trace.distortion.mean()  # "codes" is required
        commitment = (q.outputs - q.codebook(q.indices).detach()).square().sum((1, 2)).mean()
        usage = Usage.of(q.codebook.counts(gather_rows(q.indices)))
        with float32():
            loss = distortion + self.commitment * commitment + q.codebook.learn(q.outputs, q.indices)
        return Terms.of(trace, loss, None, commitment=commitment, **usage._asdict())  # usage in this batch alone


class PriorFit(Objective):
    """E KL(q(z|x) || p(z)) for p alone; -log p(codes) for a codebook (van den Oord et al. 2017, section 3.3)."""

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        with torch.no_grad():
            q = model.encode(batch)
        rate = Latent.draw(q, model.prior(), 1).kl.mean()
        return Terms(rate, {"loss": rate, "rate": rate})
