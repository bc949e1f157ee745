"""Lightning's way to checkpoints: under fixed names, through `checkpoints.save` and `checkpoints.load`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from vae_cli.distributed.process_group import all_reduce_max
from vae_cli.distributed.signals import Deferral
from vae_cli.errors import UserError, warn
from vae_cli.runs.checkpoints import Checkpoint, load, save

PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class FixedNameCheckpoint(ModelCheckpoint):
    """Keeps one checkpoint under a fixed name; its memory of the best score survives a move of the run's folder.

    The first `after` epochs do not count: what is best is the best of the last phase. A score that is not finite is
    none; as long as there is no other, the last epoch is kept.
    """

    def __init__(self, *, after: int = 0, **settings: Any) -> None:
        super().__init__(**settings)
        self.after = after

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, if it is time to."""
        if trainer.current_epoch >= self.after:
            super().on_train_epoch_end(trainer, pl_module)

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether to keep this epoch in place of the one before."""
        if current is None or (_is_finite(current) and _is_finite(self.best_model_score)):
            return super().check_monitor_top_k(trainer, current)
        return not _is_finite(self.best_model_score)

    @property
    def state_key(self) -> str:
        """Distinct for `best` and `last`, also where neither has a metric to monitor."""
        return f"{type(self).__name__}({self.filename})"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lightning forgets the best score if the folder has another path than before.

        So does this where the file is damaged: the best epoch is then sought among those to come.
        """
        if state_dict.get("best_model_path"):
            try:
                load(Path(str(self.dirpath)) / f"{self.filename}.ckpt")
            except UserError as error:
                warn(f"{error}; the best of the epochs to come takes its place")
                return
        paths = {k: str(Path(str(self.dirpath)) / Path(state_dict[k]).name) for k in PATHS if state_dict.get(k)}
        best_k = {str(Path(str(self.dirpath)) / Path(k).name): v for k, v in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best_k, "dirpath": self.dirpath})


def _is_finite(score: Tensor | None) -> bool:
    return score is not None and bool(score.isfinite())


class LastCheckpoint(FixedNameCheckpoint):
    """The checkpoint to go on from: of each epoch's end, of every `minutes` within one, and of where a signal stops.

    Not of the last batch of an epoch, whose end is near, nor of one between two steps, whose gradients no checkpoint
    has: such a batch leaves it to the next.
    """

    def __init__(self, minutes: float | None, **settings: Any) -> None:
        super().__init__(**settings)
        self.minutes = minutes
        self.signals = Deferral()
        self.saved = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, and take the signals from Lightning, which gives them back as they were before it."""
        super().on_train_start(trainer, pl_module)
        self.saved = time.monotonic()
        self.signals.begin()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time to, or where the run is to stop."""
        done = batch_idx + 1
        if done == trainer.num_training_batches or done % trainer.accumulate_grad_batches:
            return
        late = self.minutes is not None and time.monotonic() - self.saved >= 60 * self.minutes
        late = self._agree(trainer, late)
        if self.signals.asked or late:
            trainer.save_checkpoint(Path(str(self.dirpath)) / f"{self.filename}{self.FILE_EXTENSION}")
            self.saved = time.monotonic()
        if self.signals.asked:
            self.signals.stop()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, and train no further if the run is to stop; the loggers have yet to get this epoch's row."""
        super().on_train_epoch_end(trainer, pl_module)
        self.saved = time.monotonic()
        self._agree(trainer)
        trainer.should_stop |= self.signals.asked is not None

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop, if that was asked for."""
        super().teardown(trainer, pl_module, stage)
        if stage == "fit" and self.signals.asked:
            self.signals.stop()

    def _agree(self, trainer: Trainer, late: bool = False) -> bool:
        """Whether it is late for any of the processes that train together; a signal to one is a signal to all."""
        asked, late_ = all_reduce_max(self.signals.asked or 0, late, device=trainer.strategy.root_device)
        self.signals.asked = int(asked) or None
        return bool(late_)


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's way to the disk, through `save` and `load`; a resumed checkpoint has been read already."""

    def __init__(self, resumed: Checkpoint | None = None) -> None:
        self.resumed = resumed

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `path` atomically."""
        Path(path).parent.mkdir(exist_ok=True)
        save(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read `path`, or hand on the resumed checkpoint, once."""
        resumed, self.resumed = self.resumed, None
        return resumed.content if resumed else load(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete `path`."""
        Path(path).unlink(missing_ok=True)
