"""Phases of a training: an objective, a number of epochs, and an initialisation before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from torch import nn

from vae_cli.models.model import LatentVariableModel, PosteriorMoments
from vae_cli.objectives import Objective


@dataclass(frozen=True)
class TrainingCodes:
    """Codes of the training set for an initialisation.

    Args:
        limit: number of codes that a fit uses at most
        seed: seed of the run
    """

    codes: PosteriorMoments
    limit: int
    seed: int


@dataclass(frozen=True)
class Phase:
    """`epochs` of `objective`.

    Args:
        on_start: prepares the model once, before the first epoch
        continues_schedule: optimiser and learning rate continue from the phase before; otherwise they start anew
        trains: part of the model in training mode, the rest being in evaluation mode; None: the whole model
    """

    name: str
    epochs: int
    objective: Objective
    on_start: Callable[[LatentVariableModel, TrainingCodes], None] | None = None
    continues_schedule: bool = False
    trains: Callable[[LatentVariableModel], nn.Module] | None = None

    def set_modes(self, model: LatentVariableModel) -> None:
        """Put each part of the model into the mode that it has in this phase."""
        model.eval()
        (self.trains(model) if self.trains else model).train()


class PhaseSource(Protocol):
    """Adds phases to a training: pretraining, initialisation, second stage."""

    def extend(self, phases: Sequence[Phase], model: LatentVariableModel) -> list[Phase]:
        """`phases`, which begin with the objective's own at the first call, with others before or after them."""
        ...


@dataclass(frozen=True)
class PhasePosition:
    """The phase of an epoch; all numbers count from 0.

    Args:
        number: number of the phase
        first: first epoch of the phase
        start: first epoch of the schedule of the learning rate
        end: the epoch after the last of this schedule
    """

    phase: Phase
    number: int
    first: int
    start: int
    end: int


def phase_at(phases: Sequence[Phase], epoch: int) -> PhasePosition:
    """The phase of an epoch; the end of training belongs to the last phase."""
    firsts = list(accumulate((phase.epochs for phase in phases), initial=0))
    number = max(i for i in range(len(phases)) if firsts[i] <= epoch)
    fresh = [i for i, phase in enumerate(phases) if i == 0 or not phase.continues_schedule]
    start = max(i for i in fresh if i <= number)
    end = min((i for i in fresh if i > number), default=len(phases))
    return PhasePosition(phases[number], number, firsts[number], firsts[start], firsts[end])
