"""Checks the checkpoint that a run resumes from, before any file of the run is written."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl

from vae_cli.config.schema import TrainConfig
from vae_cli.datasets.info import DatasetInfo
from vae_cli.errors import ConfigError, UserError, counted, first_line
from vae_cli.runs.checkpoints import Checkpoint, load_weights
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import display
from vae_cli.runs.origin import Origin
from vae_cli.training.data_location import other_data
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.phases import phase_at


def prepare(
    config: TrainConfig, module: LatentModelModule, facts: DatasetInfo, trainer: pl.Trainer, checkpoint: Checkpoint
) -> None:
    """Refuse a checkpoint that does not fit the model, the data or Lightning's loops; load its weights and its origin.

    Args:
        trainer: a Trainer for the trial alone
    """
    assert config.resume
    saved = checkpoint.content
    if saved["data"]["sha256"] != facts.sha256:
        raise other_data(RunFolder(Path(config.resume)), config, DatasetInfo.read(saved["data"]), facts)
    load_weights(module, saved, checkpoint.path)
    _rehearse(module, checkpoint, trainer)
    progress = saved["loops"]["fit_loop"]["epoch_progress"]["current"]
    origin = Origin.read(saved)
    first = _first(module)
    _check_epochs(config, max(0, progress["processed"] - first), progress["ready"] - first, origin.max_epochs)
    module.origin = _continued(module, origin, config.trainer.max_epochs, progress)


def _rehearse(module: LatentModelModule, checkpoint: Checkpoint, trainer: pl.Trainer) -> None:
    """Restore loops and optimiser into objects that are discarded, as Lightning does once files are written."""
    saved = checkpoint.content
    try:
        trainer.fit_loop.load_state_dict(deepcopy(saved["loops"]["fit_loop"]))
        module.make_optimizer(module.parameters()).load_state_dict(saved["optimizer_states"][0])
    except Exception as error:
        remedy = "replace it by previous.ckpt, or start a new run"
        problem = f"a training cannot resume from it ({first_line(error)})"
        raise UserError(f"{display(checkpoint.path)}: {problem}; {remedy}") from error


def _first(module: LatentModelModule) -> int:
    """Number of epochs of the phases before that of trainer.max_epochs."""
    number = next(n for n, phase in enumerate(module.phases) if phase.name == "training")
    return sum(phase.epochs for phase in module.phases[:number])


def _check_epochs(config: TrainConfig, done: int, begun: int, before: int) -> None:
    """Refuse fewer epochs than have begun, and any other number once the second stage has begun."""
    asked = config.trainer.max_epochs
    if asked == before:
        return
    if config.second_stage is not None and begun > before:
        problem = f"second_stage has begun after {counted(before, 'epoch')}"
        raise ConfigError(f"trainer.max_epochs={asked}: {problem}; use trainer.max_epochs={before}")
    if asked < begun:
        trained = f"has trained {counted(done, 'epoch')}"
        problem = f"{display(Path(str(config.resume)))} {trained}{f' and begun epoch {begun}' if begun > done else ''}"
        raise ConfigError(f"trainer.max_epochs={asked}: {problem}; use trainer.max_epochs={begun} or more")


def _continued(module: LatentModelModule, origin: Origin, epochs: int, progress: dict[str, int]) -> Origin:
    """The origin of a run that resumes with this number of epochs; it records where the learning-rate schedule changes.

    A constant rate has the same schedule for every number of epochs.
    """
    continued, first = replace(origin, max_epochs=epochs), _first(module)
    place = phase_at(module.phases, first)
    span = place.end - place.start
    earlier = span + origin.max_epochs - epochs
    quarters = range(1, 4 * (progress["ready"] - place.start))
    if all(module.schedule(n / 4 / span) == module.schedule(n / 4 / earlier) for n in quarters):
        return continued
    done = max(0, progress["processed"] - first)
    return replace(continued, continued_at=(*origin.continued_at, done))
