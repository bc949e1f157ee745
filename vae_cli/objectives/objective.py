"""What an objective is: weighted named terms of a trace. Sums over dimensions, means over data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from vae_cli.batch import Batch
from vae_cli.capabilities import Capable
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives.annealing import Annealing


@dataclass(frozen=True)
class Terms:
    """The scalar to minimise, and the named parts of it, each a mean over the batch in nats."""

    loss: Tensor
    metrics: dict[str, Tensor]


class Objective(nn.Module, Capable):
    """Called with (model, batch).

    anneals: the weights that can change while it trains
    annealing: how they do
    epoch: the training's clock, in epochs
    examples: of the training set
    """

    provides: ClassVar = ("inference", "rate", "selection")
    requires: ClassVar = {"posterior": ("inference", "density")}
    anneals: ClassVar = ()
    annealing: Annealing | None = None
    epoch: float = 0.0
    examples: int = 1

    def annealed(self, name: str, weight: float) -> float:
        """The value now of a weight in `anneals`."""
        return weight * self.annealing.factor(name, self.epoch) if self.annealing else weight

    def forward(self, model: LatentVariableModel, batch: Batch) -> Terms:
        """The terms of this batch."""
        raise NotImplementedError
