"""The metrics of each epoch."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from vae_cli.runs.atomic_files import write_csv_atomically
from vae_cli.training.blocks import Block
from vae_cli.training.lightning_module import LatentModelModule


class History(Checkpoint):
    """One row of metrics for each epoch, saved in the checkpoint and written to metrics.csv.

    A user's callback adds to it by `pl_module.log`. The base class is `Checkpoint`, because Lightning calls such
    callbacks after the module has logged its epoch. This callback comes before those that write checkpoints, so that
    they hold the row of the epoch.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0
        self.examples = 0

    def state_dict(self) -> dict[str, Any]:
        """The rows as one text, because torch looks at each object that it saves; the counts of the current epoch."""
        return {"rows": json.dumps(self.rows), "seconds": self.seconds, "examples": self.examples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows up to the checkpoint; the next epoch rewrites metrics.csv."""
        rows, self.seconds, self.examples = (state_dict[name] for name in ("rows", "seconds", "examples"))
        self.rows = rows if isinstance(rows, list) else json.loads(rows)  # a list up to format 3

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Continue the timer of an interrupted epoch, which Lightning does not start again."""
        self.start = time.perf_counter() - self.seconds

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the timer of the epoch."""
        self.start, self.seconds, self.examples = time.perf_counter(), 0.0, 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Block, batch_idx: int
    ) -> None:
        """Count examples; the timer excludes validation."""
        self.examples += batch.total
        self.seconds = time.perf_counter() - self.start

    @property
    def samples_per_second(self) -> float:
        """Training examples per second in the current epoch."""
        return self.examples / max(self.seconds, 1e-9)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the row and write the file."""
        assert isinstance(pl_module, LatentModelModule)
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, **pl_module.row}
        others = trainer.callback_metrics.items()  # which hold the module's values of earlier phases, too
        row |= {name: float(value) for name, value in others if not name.startswith(("train/", "val/", "lr"))}
        if len(pl_module.phases) > 1:
            row["phase"] = pl_module.position.number + 1
        self.rows.append({**row, "train/seconds": self.seconds, "train/samples_per_second": self.samples_per_second})
        if self.path and trainer.is_global_zero:
            write_csv_atomically(self.path, self.rows)
