"""Second stage: the prior alone is fitted after training, when q(z|x) no longer changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vae_cli.capabilities import Capable
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives import PriorFit
from vae_cli.training.phases import Phase
from vae_cli.types import PositiveInt


@dataclass(frozen=True, kw_only=True)
class PriorFitting(Capable):
    """A phase in which the prior alone learns, with the rest of the model in evaluation mode.

    Args:
        epochs: length of the phase
    """

    requires: ClassVar = {"posterior": ("density",), "prior": ("separate",)}

    epochs: PositiveInt

    def extend(self, phases: Sequence[Phase], model: LatentVariableModel) -> list[Phase]:
        return [*phases, Phase("prior", self.epochs, PriorFit(), trains=lambda model: model.prior)]
