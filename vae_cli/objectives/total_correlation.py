"""beta-TCVAE: the parts of the rate weighted one by one."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vae_cli.information import decompose, log_minibatch_weights, log_stratified_weights
from vae_cli.models import VAE
from vae_cli.objectives.objective import Objective, Terms
from vae_cli.trace import Batch
from vae_cli.types import NonNegativeFloat


class TCVAE(Objective):
    """distortion + alpha I_q(x; z) + beta TC + gamma sum_j KL(q(z_j) || p(z_j)) (Chen et al. 2018, eq. 4).

    The parts are estimated within the batch by minibatch-weighted sampling; at alpha = beta = gamma their sum is the
    sampled rate whatever the weights of the pairs are.
    """

    needs_factors: ClassVar = True
    needs_whole_batch: ClassVar = True

    def __init__(self, *, alpha: NonNegativeFloat, beta: NonNegativeFloat, gamma: NonNegativeFloat) -> None:
        super().__init__()
        self.alpha, self.beta, self.gamma = alpha, beta, gamma

    def log_weights(self, batch: Batch) -> Tensor:
        """Of each pair of a code and an image, (B, B)."""
        return log_minibatch_weights(len(batch), self.examples, batch.x)

    def forward(self, model: VAE, batch: Batch) -> Terms:
        """The terms of this batch."""
        trace = model.trace(batch, model.encode(batch), 1)
        (latent,) = trace.latents
        parts = decompose(latent, self.log_weights(batch))
        distortion, rate = trace.distortion.mean(), trace.rate.mean()
        information, correlation, single = parts.mutual_information, parts.total_correlation, parts.dimension_kl
        loss = distortion + self.alpha * information + self.beta * correlation + self.gamma * single
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
