"""Importance-weighted bounds (Burda et al. 2015) with three estimators of their gradient.

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
    """-log 1/k sum_i w_i and its reparameterised gradient; the negative ELBO at k = 1 (Burda et al. 2015, eq. 8, 13).

    Args:
        samples: k
    """

    def __init__(self, *, samples: PositiveInt) -> None:
        super().__init__()
        self.samples = samples

    def proposal(self, q: Distribution) -> Distribution:
        """q(z|x) with the gradients of the estimator."""
        return q

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        trace = model.trace(batch, self.proposal(model.encode(batch)), self.samples)
        loss = math.log(self.samples) - trace.log_weight.logsumexp(0).mean()
        return Terms.of(trace, loss, trace.rate.mean(), iw_elbo=-loss)  # elbo: k = 1 at these samples


class StickingTheLanding(IWAE):
    """The bound of `IWAE` without the score term of q: the gradient has no variance at the exact posterior.

    log q at z has no gradient into the parameters of q (Roeder et al. 2017, eq. 7). For k > 1 the gradient is biased
    (Tucker et al. 2019, section 5); that of `DoublyReparameterised` is not.

    Args:
        samples: k
    """

    def proposal(self, q: Distribution) -> Distribution:
        return FixedDensity(q)


class DoublyReparameterised(IWAE):
    """The bound of `IWAE`; each path gradient of the encoder is weighted by w~_i^2, that of the decoder by w~_i.

    w~ are the normalised weights. The gradient is unbiased, and its signal-to-noise ratio grows with k (Tucker et al.
    2019, eq. 8).

    Args:
        samples: k
    """

    def proposal(self, q: Distribution) -> Distribution:
        return DoublyWeighted(q)
