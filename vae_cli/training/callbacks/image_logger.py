"""Images for the loggers during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from vae_cli.datasets import Data
from vae_cli.figures.drawing import snapshots
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.loggers import RunLogger, log_images


class ImageLogger(Callback):
    """Logs samples and reconstructions at `times` equal parts of a run, always of the same draws and examples.

    Args:
        times: number of equal parts
        seed: of the draws
    """

    def __init__(self, loggers: Sequence[RunLogger], data: Data, times: int, seed: int) -> None:
        self.loggers, self.data, self.times, self.seed = loggers, data, times, seed
        self.step, self.steps = 0, 1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the steps of the run."""
        assert isinstance(pl_module, LatentModelModule)
        self.steps = pl_module.epochs * pl_module.steps_per_epoch

    def next_step(self, step: int) -> int:
        """The step that completes the part of the run after `step`."""
        return -(-(self.times * step // self.steps + 1) * self.steps // self.times)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave out the step of the checkpoint that the run resumes from."""
        self.step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the images if this step completes a part."""
        assert isinstance(pl_module, LatentModelModule)
        before, self.step = self.step, trainer.global_step
        if self.times * self.step // self.steps > self.times * before // self.steps:
            images = snapshots(pl_module.model, self.data, pl_module.device, self.seed)
            row = {"epoch": trainer.current_epoch + 1, "step": self.step}
            log_images(self.loggers, {f"training/{name}": image for name, image in images.items()}, row)
