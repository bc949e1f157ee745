"""What happens beside training: exact random state, history, progress, pictures for the loggers."""

from __future__ import annotations

import csv
import io
import sys
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, Checkpoint
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vae_cli.datasets import Data
from vae_cli.figures import panels
from vae_cli.files import write_text_atomically
from vae_cli.loggers import log_figures
from vae_cli.module import LitVAE


class RandomState(Callback):
    """Keeps the random stream of training exact: in checkpoints, and untouched by validation, whose seed is fixed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.restored: dict[str, Any] | None = None
        self.training: dict[str, Any] | None = None

    @staticmethod
    def _get() -> dict[str, Any]:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    @staticmethod
    def _set(state: dict[str, Any]) -> None:
        torch.set_rng_state(state["cpu"].cpu())
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])

    def state_dict(self) -> dict[str, Any]:
        """The training stream as it stands."""
        return self.training or self._get()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the stream until the first batch, after everything that draws numbers while setting up."""
        self.restored = state_dict

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Go on where the checkpoint was written."""
        if self.restored is not None:
            self._set(self.restored)
            self.restored = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same draws at every validation."""
        self.training = self._get()
        torch.manual_seed(self.seed)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Back to the training stream."""
        if self.training is not None:
            self._set(self.training)
            self.training = None


class History(Checkpoint):
    """One row of numbers for each epoch, kept in the checkpoint and written to metrics.csv whole at each epoch.

    A `Checkpoint` by base class, because Lightning calls those after the module has logged its epoch. It stands before
    the ones that write files, so that their files hold this epoch's row.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0
        self.examples = 0

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, and the count of the present epoch."""
        return {"rows": self.rows, "seconds": self.seconds, "examples": self.examples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The rows up to the checkpoint; later ones of an interrupted run are written anew."""
        self.rows, self.seconds, self.examples = (state_dict[name] for name in ("rows", "seconds", "examples"))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on with the clock of an epoch that was broken off; Lightning does not start such an epoch again."""
        self.start = time.perf_counter() - self.seconds

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clock."""
        self.start, self.seconds, self.examples = time.perf_counter(), 0.0, 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count examples; the clock stops before validation."""
        self.examples += len(batch)
        self.seconds = time.perf_counter() - self.start

    @property
    def samples_per_second(self) -> float:
        """Training examples a second in the present epoch."""
        return self.examples / max(self.seconds, 1e-9)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the row and write the table."""
        numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, **numbers}
        self.rows.append({**row, "train/seconds": self.seconds, "train/samples_per_second": self.samples_per_second})
        if self.path and trainer.is_global_zero:
            columns = list(dict.fromkeys(name for row in self.rows for name in row))
            text = io.StringIO()
            writer = csv.DictWriter(text, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
            write_text_atomically(self.path, text.getvalue())


def _numbers(row: dict[str, float]) -> str:
    """The epoch's numbers in words."""
    parts = [
        f"{name} {row[name]:.2f}" for name in ("train/loss", "val/elbo", "val/distortion", "val/rate") if name in row
    ]
    return "  ".join(parts)


class EpochProgress(Checkpoint):
    """A live bar with rates and time left on a terminal; one line an epoch into a file.

    A `Checkpoint` for the same reason as History, and after it.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.last = 0.0
        self.began = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self.began, self.first_epoch = time.perf_counter(), trainer.current_epoch
        if self.console.is_terminal:
            self._show("training", (trainer.max_epochs or 1) * trainer.num_training_batches)

    def _show(self, what: str, total: float) -> None:
        columns = (
            "[bold]{task.description}",
            "{task.percentage:>3.0f} %",
            "{task.fields[rate]}",
            "{task.fields[numbers]}",
        )
        texts = [TextColumn(column) for column in columns]
        self.bar = Progress(
            texts[0], BarColumn(24), texts[1], TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            texts[2], texts[3], console=self.console, transient=True,
        )  # fmt: skip
        self.task = self.bar.add_task(what, total=total, rate="", numbers="")
        self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, five times a second at most."""
        now = time.perf_counter()
        if self.bar is None or now - self.last < 0.2:
            return
        self.last = now
        done = trainer.current_epoch * trainer.num_training_batches + batch_idx + 1
        self.bar.update(
            self.task,
            completed=done,
            description=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}",
            rate=f"{self.history.samples_per_second:,.0f} images/s",
        )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The epoch's numbers, in the bar or as a line."""
        row, epochs = self.history.rows[-1], trainer.current_epoch + 1
        if self.bar is not None:
            self.bar.update(self.task, completed=epochs * trainer.num_training_batches, numbers=_numbers(row))
            return
        each = (time.perf_counter() - self.began) / (epochs - self.first_epoch)
        left = each * ((trainer.max_epochs or epochs) - epochs)
        self.console.print(
            f"epoch {epochs}/{trainer.max_epochs}  {_numbers(row)}  "
            f"{row['train/samples_per_second']:,.0f} images/s  {left / 60:.1f} min left"
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away and leave the last epoch's numbers."""
        if self.bar is not None and self.history.rows:
            self.console.print(f"trained {trainer.current_epoch} epochs  {_numbers(self.history.rows[-1])}")
        self._hide()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar of the evaluation."""
        if self.console.is_terminal:
            self._show("evaluating", sum(trainer.num_test_batches))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the bar."""
        if self.bar is not None:
            self.bar.update(self.task, completed=batch_idx + 1)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self._hide()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self._hide()

    def _hide(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


class Panels(Callback):
    """Reconstructions, samples and traversals for the loggers while training goes on."""

    def __init__(self, data: Data, every: int, seed: int) -> None:
        self.data, self.every, self.seed = data, every, seed

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Every so many epochs."""
        if (trainer.current_epoch + 1) % self.every == 0 and trainer.is_global_zero:
            assert isinstance(pl_module, LitVAE)
            figures = panels(pl_module.model, self.data, pl_module.device, self.seed)
            log_figures(trainer.loggers, figures, trainer.global_step)
