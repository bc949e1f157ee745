"""Importance-weighted bounds (Burda et al. 2015), which differ in how their gradient is estimated.

S = samples is the k of the bound log 1/k sum_i w_i, w_i = p(x, z_i) / q(z_i|x).
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from vae_cli.models import VAE
from vae_cli.objectives.objective import Objective, Terms
from vae_cli.trace import Batch, Trace
from vae_cli.types import PositiveInt


class IWAE(Objective):
    """-log 1/k sum_i w_i, differentiated as it stands: the negative ELBO at k = 1 (Burda et al. 2015, eq. 8, 13)."""

    def __init__(self, *, samples: PositiveInt) -> None:
        super().__init__()
        self.samples = samples

    def log_weight(self, model: VAE, batch: Batch, trace: Trace) -> Tensor:
        """log w, (S, B), whose gradient is the estimator's."""
        return trace.log_weight

    def surrogate(self, log_weight: Tensor, trace: Trace) -> Tensor:
        """What to minimise, of the same value as the bound or not, but with its gradient."""
        return -log_weight.logsumexp(0).mean()

    def forward(self, model: VAE, batch: Batch) -> Terms:
        """The terms of this batch; iw_elbo is the bound, elbo that of k = 1 at the same samples."""
        trace = model.trace(batch, model.encode(batch), self.samples)
        log_weight = self.log_weight(model, batch, trace)
        value = -log_weight.detach().logsumexp(0).mean() + math.log(self.samples)
        surrogate = self.surrogate(log_weight, trace)
        loss = value + (surrogate - surrogate.detach())
        distortion, rate = trace.distortion.mean().detach(), trace.rate.mean().detach()
        return Terms(
            loss,
            {"loss": loss, "iw_elbo": -value, "distortion": distortion, "rate": rate, "elbo": -distortion - rate},
        )


class StickingTheLanding(IWAE):
    """The same bound, the score of q left out: its gradient has no variance at the exact posterior.

    log q is taken at the drawn z under parameters that do not learn from it (Roeder et al. 2017, eq. 7). For k > 1 the
    gradient is biased (Tucker et al. 2019, section 5); `DoublyReparameterised` is not.
    """

    needs_one_latent: ClassVar = True
    encodes_again: ClassVar = True

    def log_weight(self, model: VAE, batch: Batch, trace: Trace) -> Tensor:
        """log p(x, z) - log q(z|x) with q's parameters fixed, (S, B)."""
        with torch.no_grad():
            fixed = model.encode(batch)
        (latent,) = trace.latents
        return trace.log_px + latent.log_p - fixed.log_prob(latent.z)


class DoublyReparameterised(StickingTheLanding):
    """The same bound; each path gradient of the encoder is weighted by w~_i^2, that of the decoder by w~_i.

    w~ are the normalised weights. Unbiased, and its signal-to-noise ratio grows with k (Tucker et al. 2019, eq. 8).
    """

    def surrogate(self, log_weight: Tensor, trace: Trace) -> Tensor:
        """-sum_i w~_i log w_i with w~ fixed; on its way into z each gradient is multiplied by w~_i once more."""
        shares = log_weight.detach().softmax(0)
        for latent in trace.latents:
            if latent.z.requires_grad:
                extra = shares.reshape(*shares.shape, *[1] * (latent.z.dim() - shares.dim()))
                latent.z.register_hook(lambda gradient, extra=extra: gradient * extra)
        return -(shares * log_weight).sum(0).mean()
