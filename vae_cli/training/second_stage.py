"""What is trained after the objective: the prior by itself, when the z that it has to describe stay as they are."""

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
    """A phase of `epochs` in which only the prior learns; nothing else of the model has a gradient."""

    requires: ClassVar = {"posterior": ("density",), "prior": ("separate",)}

    epochs: PositiveInt

    def extend(self, phases: Sequence[Phase], model: LatentVariableModel) -> list[Phase]:
        return [*phases, Phase("prior", self.epochs, PriorFit(), trains=lambda model: model.prior)]
