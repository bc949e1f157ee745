"""Lightning's checkpoints under fixed names; `vae_cli.runs.checkpoints` writes and reads them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from vae_cli.distributed import slurm
from vae_cli.distributed.process_group import all_reduce_max
from vae_cli.distributed.signals import Deferral
from vae_cli.errors import UserError, warn
from vae_cli.runs.checkpoints import Checkpoint, copy, load, save
from vae_cli.runs.folder import RunFolder
from vae_cli.training.blocks import Block

PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class FixedNameCheckpoint(ModelCheckpoint):
    """Keeps one checkpoint under a fixed name; the best score stays known when the run's folder moves.

    A score that is not finite does not count; while there is no other, the last epoch is kept.

    Args:
        after: number of epochs, those of earlier phases, that do not count

    Attributes:
        epoch: number, from 0, of the epoch that was saved last
    """

    def __init__(self, *, after: int = 0, **settings: Any) -> None:
        super().__init__(**settings)
        self.after, self.epoch = after, 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, unless the epoch does not count."""
        if trainer.current_epoch >= self.after:
            before = self._last_global_step_saved
            super().on_train_epoch_end(trainer, pl_module)
            self.epoch = self.epoch if self.holds(before) else trainer.current_epoch

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """True if this epoch replaces the one before."""
        if current is None or (_is_finite(current) and _is_finite(self.best_model_score)):
            return super().check_monitor_top_k(trainer, current)
        return not _is_finite(self.best_model_score)

    def holds(self, step: int) -> bool:
        """True if the file is of this optimiser step."""
        return self._last_global_step_saved == step

    @property
    def is_best(self) -> bool:
        """True for the checkpoint of the best epoch."""
        return self.filename == "best"

    @property
    def file(self) -> Path:
        """Path of the checkpoint."""
        return Path(str(self.dirpath)) / f"{self.filename}{self.FILE_EXTENSION}"

    @property
    def state_key(self) -> str:
        """Part of the format of a checkpoint: distinct for `best` and `last`, and free of names of classes."""
        return f"checkpoint({self.filename})"

    def state_dict(self) -> dict[str, Any]:
        """Lightning's state with names of files in place of paths, which change with the place of the run's folder."""
        state = super().state_dict()
        names = {key: Path(state[key]).name for key in PATHS if state.get(key)}
        best_k = {Path(path).name: score for path, score in state["best_k_models"].items()}
        return {**state, **names, "best_k_models": best_k, "dirpath": None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state in the present folder.

        Where the best checkpoint is damaged, the state is dropped: the best of the epochs to come takes its place.
        """
        if state_dict.get("best_model_path"):
            try:
                load(self.file)
            except UserError as error:
                warn(f"{error}; the best of the epochs to come takes its place")
                return
        folder = Path(str(self.dirpath))
        paths = {key: str(folder / state_dict[key]) for key in PATHS if state_dict.get(key)}
        best_k = {str(folder / name): score for name, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best_k, "dirpath": self.dirpath})


def _is_finite(score: Tensor | None) -> bool:
    return score is not None and bool(score.isfinite())


class LastCheckpoint(FixedNameCheckpoint):
    """The checkpoint to resume from: at the end of an epoch, every `minutes` within one, and where a signal stops.

    Within an epoch it is saved between two blocks of batches. At the end of an epoch that is the best, it is a copy.
    """

    def __init__(self, best: FixedNameCheckpoint, minutes: float | None, **settings: Any) -> None:
        super().__init__(**settings)
        self.best, self.minutes = best, minutes
        self.signals = Deferral()
        self.saved = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, and handle the signals in place of Lightning, which later restores the earlier handlers."""
        super().on_train_start(trainer, pl_module)
        self.saved = time.monotonic()
        self.signals.begin()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Block, batch_idx: int
    ) -> None:
        """Save if the interval has passed or a signal asks the run to stop; after the last block the epoch saves."""
        if batch.is_last:
            return
        late = self.minutes is not None and time.monotonic() - self.saved >= 60 * self.minutes
        late = self._agree(trainer, late)
        if self.signals.asked or late:
            trainer.save_checkpoint(self.file)
            self.saved = time.monotonic()
        if self.signals.asked:
            self.signals.stop()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, and end the training if a signal asks for it; the loggers have the row of this epoch."""
        if not self.best.holds(trainer.global_step):
            super().on_train_epoch_end(trainer, pl_module)
        elif trainer.is_global_zero:
            copy(self.best.file, self.file)
        self.saved = time.monotonic()
        self._agree(trainer)
        trainer.should_stop |= self.signals.asked is not None

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop, if a signal asked for that."""
        super().teardown(trainer, pl_module, stage)
        if stage == "fit" and self.signals.asked:
            self.signals.stop()

    def _agree(self, trainer: Trainer, late: bool = False) -> bool:
        """True if the interval has passed on any rank; a signal to one rank becomes a signal to all."""
        asked, late_ = all_reduce_max(self.signals.asked or 0, late, device=trainer.strategy.root_device)
        self.signals.asked = int(asked) or None
        return bool(late_)


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's way to the disk, through `save` and `load`; a resumed checkpoint has been read already.

    The status of the run keeps the duration of the longest write.

    Args:
        notice: seconds between SLURM's signal and its time limit; a warning says once that a write takes too long
    """

    def __init__(self, run: RunFolder, notice: float, resumed: Checkpoint | None = None) -> None:
        self.run, self.notice, self.resumed = run, notice, resumed

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        Path(path).parent.mkdir(exist_ok=True)
        began = time.monotonic()
        save(checkpoint, Path(path))
        self._keep(round(time.monotonic() - began, 3))

    def _keep(self, seconds: float) -> None:
        status = self.run.status()
        if status is None or seconds <= 1.1 * status.save_seconds:  # a tenth more is not worth a write
            return
        longer = replace(status, save_seconds=seconds)
        self.run.write_status(longer)
        if slurm.job() and status.least_notice <= self.notice < (least := longer.least_notice):
            problem = f"a checkpoint takes {seconds:.1f} s to write, and the end of an epoch writes two"
            warn(f"cluster.notice={self.notice:g}: {problem}; use cluster.notice={least} for the next submission")

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read `path`, or hand on the resumed checkpoint, once."""
        resumed, self.resumed = self.resumed, None
        return resumed.content if resumed else load(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)
