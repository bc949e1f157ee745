"""Trainings in this process: whole ones, and those that are broken off and gone on with."""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import pytorch_lightning as pl
import torch

from vae_cli.commands.train import train as train_on
from vae_cli.config.schema import TrainConfig, plain
from vae_cli.datasets.info import DatasetInfo
from vae_cli.distributed.process_group import ProcessLayout
from vae_cli.figures import drawing
from vae_cli.runs import checkpoints
from vae_cli.runs.folder import RunFolder
from vae_cli.training.build import build_module
from vae_cli.training.fit import build_trainer, fit


def without_figures() -> AbstractContextManager[object]:
    """Figures take nine tenths of the time of a small run: in this context a run draws none."""
    return patch.object(drawing, "draw", lambda *model, **settings: {})


def train(config: TrainConfig, folder: Path, *, figures: bool = False) -> dict[str, Any]:
    checkpoint = RunFolder(Path(config.resume)).newest_checkpoint() if config.resume else None
    config = config if figures else replace(config, figures=[])
    return train_on(config, config.dataset.build().load(), folder, checkpoint=checkpoint)


class StoppedError(Exception):
    pass


class StopAt(pl.Callback):
    """Stops before an epoch, or saves and stops after a batch."""

    def __init__(self, kind, position, last):
        self.kind, self.position, self.last = kind, position, last

    def next_step(self, step):
        return self.position if self.kind == "batch" and step < self.position else step + 10**9

    def on_train_epoch_start(self, trainer, pl_module):
        if self.kind == "epoch" and trainer.current_epoch == self.position:
            raise StoppedError

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if self.kind == "batch" and trainer.global_step == self.position:
            trainer.save_checkpoint(self.last)
            raise StoppedError


def interrupted(config: TrainConfig, folder: Path, kind: str, position: int) -> dict[str, Any]:
    """The results of a run that is broken off and gone on with."""
    data = config.dataset.build().load()
    pl.seed_everything(config.seed, verbose=False)
    module = build_module(config, DatasetInfo.of(data))
    module.origin = replace(module.origin, max_epochs=config.trainer.max_epochs)
    layout = ProcessLayout(devices=1, nodes=1)
    run = RunFolder(folder)
    _, trainer = build_trainer(config, layout, run, data, module, [])
    trainer.callbacks.append(StopAt(kind, position, run.checkpoint("last")))
    run.begin(plain(config))
    with pytest.raises(StoppedError):
        fit(config, layout, data, module, trainer)
    return train_on(replace(config, resume=str(folder), figures=[]), data, folder, checkpoint=run.newest_checkpoint())


def assert_same_end(folder: Path, other: Path) -> None:
    states = [checkpoints.load(f / "checkpoints" / "last.ckpt")["state_dict"] for f in (folder, other)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
