"""Importance-weighted bounds (Burda et al. 2015), which differ in how their gradient is estimated.

S = samples is the k of the bound log 1/k sum_i w_i, w_i = p(x, z_i) / q(z_i|x).
"""

from __future__ import annotations

import math

from torch.distributions import Distribution

from vae_cli.batch import Batch
from vae_cli.distributions.path_gradients import DoublyWeighted, FixedDensity
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives.objective import Objective, Progress, Terms
from vae_cli.types import PositiveInt


class IWAE(Objective):
    """-log 1/k sum_i w_i, differentiated as it stands: the negative ELBO at k = 1 (Burda et al. 2015, eq. 8, 13)."""

    def __init__(self, *, samples: PositiveInt) -> None:
        super().__init__()
        self.samples = samples

    def proposal(self, q: Distribution) -> Distribution:
        """q(z|x) with the gradients that the estimator takes from it."""
        return q

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        trace = model.trace(batch, self.proposal(model.encode(batch)), self.samples)
        loss = math.log(self.samples) - trace.log_weight.logsumexp(0).mean()
        return Terms.of(trace, loss, trace.rate.mean(), iw_elbo=-loss)  # elbo: k = 1 at these samples


class StickingTheLanding(IWAE):
    """The same bound, the score of q left out: its gradient has no variance at the exact posterior.

    log q is taken at the drawn z under parameters that do not learn from it (Roeder et al. 2017, eq. 7). For k > 1 the
    gradient is biased (Tucker et al. 2019, section 5); `DoublyReparameterised` is not.
    """

    def proposal(self, q: Distribution) -> Distribution:
        """q(z|x), its parameters fixed in log q."""
        return FixedDensity(q)


class DoublyReparameterised(IWAE):
    """The same bound; each path gradient of the encoder is weighted by w~_i^2, that of the decoder by w~_i.

    w~ are the normalised weights. Unbiased, and its signal-to-noise ratio grows with k (Tucker et al. 2019, eq. 8).
    """

    def proposal(self, q: Distribution) -> Distribution:
        """q(z|x), its parameters fixed in log q, each gradient into z multiplied by w~_i once more."""
        return DoublyWeighted(q)
