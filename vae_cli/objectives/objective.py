"""The base class of objectives: weighted named terms of a trace. Sums over dimensions, means over data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_cli.batch import Batch
from vae_cli.capabilities import Capable
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.trace import Trace
from vae_cli.objectives.annealing import Annealing


@dataclass(frozen=True)
class Progress:
    """The state of training that a loss may depend on.

    Args:
        epoch: epochs since the learning-rate schedule began, with the fraction of the present one; a tensor () where a
            recorded step reads it
        examples: size of the training set
    """

    epoch: float | Tensor
    examples: int


@dataclass(frozen=True)
class Terms:
    """The scalar to minimise, and its named parts, each a mean over the batch in nats."""

    loss: Tensor
    metrics: dict[str, Tensor]

    @classmethod
    def of(cls, trace: Trace, loss: Float[Tensor, ""], rate: Float[Tensor, ""] | None, **more: Tensor) -> Terms:
        """loss, distortion, and `more`; rate and elbo = -distortion - rate too, unless q has no density (rate None)."""
        distortion = trace.distortion.mean()
        bound = {} if rate is None else {"rate": rate, "elbo": -distortion - rate}
        return cls(loss, {"loss": loss, "distortion": distortion, **bound, **more})


class Objective(nn.Module, Capable):
    """A loss: called with (model, batch, progress), it returns its terms.

    anneals: the weights that can change while it trains

    Args:
        annealing: how they change; None if they are constant
    """

    provides: ClassVar = ("inference", "rate", "selection")
    requires: ClassVar = {"posterior": ("inference", "density")}
    anneals: ClassVar = ()

    def __init__(self, annealing: Annealing | None = None) -> None:
        super().__init__()
        self.annealing = annealing

    @property
    def elbo_beta(self) -> float:
        """beta of an objective of the form distortion + beta rate; 1 for any other."""
        return 1.0

    def annealed(self, name: str, weight: float, progress: Progress) -> float | Tensor:
        """The present value of a weight in `anneals`."""
        if self.annealing is None:
            return weight
        weigh: Any = torch.compiler.disable(self._weigh)  # a float that changes would compile the step anew
        return weigh(name, weight, progress)

    def _weigh(self, name: str, weight: float, progress: Progress) -> Tensor:
        assert self.annealing
        epoch = torch.as_tensor(progress.epoch, dtype=torch.float64)
        return (weight * self.annealing.factor(name, epoch)).float()

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        """The terms of a batch."""
        raise NotImplementedError
