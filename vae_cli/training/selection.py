"""The epoch whose weights a run keeps, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from vae_cli.training.callbacks import History


@dataclass(frozen=True)
class Selection:
    """The choice of the best epoch: the first with the best `monitor`, or the last epoch where there is no monitor.

    A number that is not finite does not count.

    Args:
        monitor: name of a number in the row of an epoch, or None
        mode: max or min
        after: number of epochs, those of earlier phases, that do not count
    """

    monitor: str | None
    mode: str
    after: int

    def candidates(self, rows: Sequence[dict[str, float]]) -> list[tuple[int, float]]:
        """Epochs, from 1, and their scores, of which the largest is the best."""
        sign = 1 if self.mode == "max" else -1
        scores = [(epoch, sign * row.get(self.monitor or "", math.nan)) for epoch, row in enumerate(rows, 1)]
        return [(epoch, score) for epoch, score in scores[self.after :] if math.isfinite(score)]

    def waited(self, rows: Sequence[dict[str, float]]) -> tuple[int, int]:
        """The best epoch so far, 0 for none, and the number of epochs with a finite number after it."""
        candidates = self.candidates(rows)
        best = max(candidates, key=lambda one: one[1], default=(0, 0.0))[0]
        return best, sum(epoch > best for epoch, _ in candidates)

    def words(self, rows: Sequence[dict[str, float]]) -> str:
        """The criterion of the choice, in words."""
        if self.monitor is None:
            return "the last epoch"
        return self.monitor if self.candidates(rows) else f"the last epoch, because {self.monitor} was never finite"


class PhaseAwareEarlyStopping(Checkpoint):
    """Stops after `patience` epochs without a better number; epochs whose number is not finite do not count.

    It reads only the rows of `history`, so that a resumed run may have another patience. Its base class is `Checkpoint`
    for the reason that `History` gives; it runs after `History`.
    """

    def __init__(self, patience: int, selection: Selection, history: History) -> None:
        self.patience, self.selection, self.history = patience, selection, history
        self.at_once = False

    @property
    def reason(self) -> str | None:
        """The reason to stop; None to go on."""
        best, waited = self.selection.waited(self.history.rows)
        if waited < self.patience:
            return None
        return (
            f"trainer.patience={self.patience}: {self.selection.monitor} was best at epoch {best}, "
            f"and no better in the {waited} epoch{'s' * (waited > 1)} after it"
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once where a resumed run has stopped already."""
        self.at_once = trainer.should_stop = self.reason is not None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop, if there is a reason."""
        trainer.should_stop |= self.reason is not None
