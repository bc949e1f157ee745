"""The start of each phase of a training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from vae_cli.datasets import Data
from vae_cli.distributed.process_group import broadcast_module
from vae_cli.distributed.progress import task
from vae_cli.distributed.terminal import clock, say
from vae_cli.errors import UserError, counted
from vae_cli.models.model import LatentVariableModel, PosteriorMoments, posterior_moments
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.phases import TrainingCodes

DRAWS = 5
"""Draws of each training image that are encoded, for data that are drawn anew at each visit."""
BATCH = 1000
"""Images encoded at a time; the noise depends on this number, so that it is not configurable."""


class PhaseInitialiser(Callback):
    """Initialises the model for a phase, with a seed that does not depend on earlier phases.

    Args:
        data: the training data to encode
        seed: of the draws and the clustering
        limit: training examples in an epoch, where trainer.limit_batches limits them
    """

    def __init__(self, data: Data, seed: int, limit: int | None) -> None:
        self.data, self.seed, self.limit = data, seed, limit

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse too many components before anything is trained."""
        assert isinstance(pl_module, LatentModelModule)
        prior, count = pl_module.model.prior, len(self.data.train)
        if "mixture" not in prior.provides or not any(phase.on_start for phase in pl_module.phases):
            return
        if count < 2 * (components := prior.components):
            fewer = f"prior.components={count // 2} or less, or " if count > 1 else ""
            raise UserError(
                f"prior.components={components}: too many for {count} training examples: each "
                f"component needs two; use {fewer}initialisation=none"
            )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Encode the training set and initialise the model before the first epoch of a phase."""
        assert isinstance(pl_module, LatentModelModule)
        position = pl_module.position
        if position.phase.on_start is None or trainer.current_epoch != position.first:
            return
        if trainer.is_global_zero:
            self._begin(pl_module, position.phase.on_start)
        broadcast_module(pl_module)

    def _begin(self, pl_module: LatentModelModule, begin: Callable[[LatentVariableModel, TrainingCodes], None]) -> None:
        """The initialisation on rank 0."""
        pl_module.eval()
        devices = [pl_module.device] if pl_module.device.type == "cuda" else []
        codes = counted(len(self.data.train), "code")
        with task(f"clustering {codes}") as clustering, torch.random.fork_rng(devices):
            torch.manual_seed(self.seed)
            begin(pl_module.model, self._codes(pl_module))
        pl_module.train()
        say(f"{codes} clustered in {clock(clustering.elapsed)}")

    def _codes(self, pl_module: LatentModelModule) -> TrainingCodes:
        """Codes of the training set; means over several draws for data that are drawn anew at each visit."""
        settings = {"batch_size": BATCH, "shuffle": False, "device": pl_module.device}
        draws = DRAWS if self.data.train.dynamic and not self.limit else 1
        loaders = [self.data.loader("train", seed=draw, **settings) for draw in range(draws)]
        drawn = [posterior_moments(pl_module.model, loader) for loader in loaders]
        means, variances = (torch.stack([getattr(one, name) for one in drawn]) for name in ("means", "variances"))
        average = PosteriorMoments(means.mean(0), variances.mean(0) + means.var(0, unbiased=False))
        return TrainingCodes(average, self.limit or len(self.data.train), self.seed)
