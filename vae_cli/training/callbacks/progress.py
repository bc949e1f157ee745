"""Training and evaluation on the terminal."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import accumulate
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, Checkpoint

from vae_cli.distributed.progress import Task, task
from vae_cli.distributed.terminal import clock, fitting, say, width
from vae_cli.training.blocks import Block
from vae_cli.training.callbacks.history import History
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.phases import phase_at

METRICS = ("train/loss", "val/elbo", "val/distortion", "val/rate")
"""Numbers of an epoch in its line, the most important first: a narrow terminal shows the first ones."""
SPEED = "examples/s"


class EpochProgress(Checkpoint):
    """A line for each epoch that has ended, and on a terminal a bar for the present one.

    The base class is `Checkpoint` for the reason that `History` gives; it comes after `History`.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.task = Task("")
        self.title = ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show a bar for the present epoch."""
        assert isinstance(pl_module, LatentModelModule)
        assert pl_module.engine is not None
        self.trained, self.batches = 0, len(pl_module.engine.loader.sizes)
        ends = accumulate(phase.epochs for phase in pl_module.phases)
        self.space = max(len(_where(pl_module, end - 1)) for end in ends)
        self.task = Task(_where(pl_module, trainer.current_epoch), self.batches)
        self.task.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Block, batch_idx: int
    ) -> None:
        """Show the batches that are done, the mean loss so far and the time left."""
        assert isinstance(pl_module, LatentModelModule)
        self.trained += len(batch)
        if self.task.bar is not None and self.task.is_due:
            self.task.what = _where(pl_module, trainer.current_epoch)
            means = zip(pl_module.names, pl_module.totals / max(pl_module.examples, 1), strict=True)
            numbers = [f"train/{name} {float(mean):.2f}" for name, mean in means if f"train/{name}" in METRICS]
            numbers.append(f"{self.history.samples_per_second:,.0f} {SPEED}")
            self.task.reach(batch.stop, self._left(trainer, batch.stop), numbers=numbers)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line of the epoch, with a title where its columns are new."""
        assert isinstance(pl_module, LatentModelModule)
        row, where = self.history.rows[-1], _where(pl_module, trainer.current_epoch)
        left = clock(self._left(trainer, self.batches))
        numbers = {name: f"{row[name]:.2f}" for name in METRICS if name in row}
        numbers[SPEED] = f"{row['train/samples_per_second']:,.0f}"
        wide = {name: max(8, len(name)) for name in numbers}
        title = fitting([f"{'':{self.space}}", f"{'left':>7}", *(f"{n:>{wide[n]}}" for n in numbers)], width())
        line = [f"{where:{self.space}}", f"{left:>7}", *(f"{value:>{wide[n]}}" for n, value in numbers.items())]
        if title != self.title:
            say(title)
            self.title = title
        say(fitting(line, width()))

    def _left(self, trainer: Trainer, batch: int) -> float:
        """Seconds to the end of training, validation included, at the speed of this process so far."""
        to_train = ((trainer.max_epochs or 1) - trainer.current_epoch) * self.batches - batch
        return self.task.elapsed / max(self.trained, 1) * to_train

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.task.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.task.stop()


class EvaluationProgress(Callback):
    """A bar for the batches of an evaluation."""

    def __init__(self) -> None:
        self.shown = ExitStack()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show a bar for the batches of the split."""
        assert isinstance(pl_module, LatentModelModule) and pl_module.evaluation is not None
        what = f"evaluating the {pl_module.evaluation.context.settings.split} split"
        self.task = self.shown.enter_context(task(what, sum(trainer.num_test_batches)))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show the batches that are done."""
        self.task.reach(batch_idx + 1)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.shown.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.shown.close()


def _where(pl_module: LatentModelModule, epoch: int) -> str:
    """The epoch, as in metrics.csv, after the name of its phase if there are several."""
    name = "epoch" if len(pl_module.phases) == 1 else phase_at(pl_module.phases, epoch).phase.name
    return f"{name} {epoch + 1:>{len(str(pl_module.epochs))}}/{pl_module.epochs}"
