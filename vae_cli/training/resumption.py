"""The checkpoint that a run goes on from: whether it fits, before anything of the run is written."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from vae_cli.config.schema import TrainConfig
from vae_cli.errors import ConfigError, UserError, first_line
from vae_cli.evaluation.evaluation import DatasetInfo
from vae_cli.runs import checkpoints
from vae_cli.runs.checkpoints import load_weights
from vae_cli.runs.layout import display
from vae_cli.runs.origin import Origin
from vae_cli.runs.saved_config import read_config
from vae_cli.training.data_location import other_data
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.phases import phase_at


def prepare(config: TrainConfig, module: LatentModelModule, facts: DatasetInfo, trainer: pl.Trainer) -> Path:
    """The checkpoint to go on from, tried on the model, the data and Lightning's loops; its weights are in the model.

    `trainer` is one to try it on.
    """
    assert config.resume
    folder = Path(config.resume)
    path = checkpoints.newest(folder)
    checkpoint = checkpoints.load(path)
    if checkpoint["data"]["sha256"] != facts.sha256:
        raise other_data(folder, config, DatasetInfo.read(checkpoint["data"]), facts)
    load_weights(module, checkpoint, path)
    _rehearse(module, checkpoint, path, trainer)
    progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
    origin = Origin.read(checkpoint)
    before = read_config(folder).trainer.max_epochs if origin.max_epochs is None else origin.max_epochs
    _check_epochs(config, progress["ready"] - _first(module), before)
    module.origin = _continued(module, replace(origin, max_epochs=config.trainer.max_epochs), before, progress)
    return path


def _rehearse(module: LatentModelModule, checkpoint: dict[str, Any], path: Path, trainer: pl.Trainer) -> None:
    """Restore loops and optimiser into objects that are thrown away: what Lightning will do when it is too late."""
    try:
        trainer.fit_loop.load_state_dict(deepcopy(checkpoint["loops"]["fit_loop"]))
        module.make_optimizer(module.parameters()).load_state_dict(checkpoint["optimizer_states"][0])
        if not isinstance(checkpoint["lr_schedulers"][0]["last_epoch"], int):
            raise TypeError("lr_schedulers/0/last_epoch is no number")
    except Exception as error:
        way = f"put {checkpoints.PREVIOUS.name} in its place, or start a new run"
        raise UserError(f"{display(path)}: a training cannot go on from it ({first_line(error)}); {way}") from error


def _first(module: LatentModelModule) -> int:
    """The epochs of the phases before the one that trainer.max_epochs counts."""
    number = next(n for n, phase in enumerate(module.phases) if phase.name == "training")
    return sum(phase.epochs for phase in module.phases[:number])


def _check_epochs(config: TrainConfig, done: int, before: int) -> None:
    """Refuse fewer epochs than are done, and another number once the second stage has begun."""
    asked = config.trainer.max_epochs
    if asked == before:
        return
    if config.second_stage is not None and done > before:
        problem = f"second_stage has begun after {before} epochs"
        raise ConfigError(f"trainer.max_epochs={asked}: {problem}; leave trainer.max_epochs={before}")
    if asked < done:
        raise ConfigError(
            f"trainer.max_epochs={asked}: {display(Path(str(config.resume)))} has trained {done} epochs already; "
            f"use trainer.max_epochs={done} or more"
        )


def _continued(module: LatentModelModule, origin: Origin, before: int, progress: dict[str, int]) -> Origin:
    """The origin of a run that goes on to another number of epochs: told where its schedule is another one for that.

    A constant rate is the same for every number of epochs.
    """
    first = _first(module)
    place = phase_at(module.phases, first)
    span = place.end - place.start
    earlier = span + before - (origin.max_epochs or before)
    quarters = range(1, 4 * (progress["ready"] - place.start))
    if all(module.schedule(n / 4 / span) == module.schedule(n / 4 / earlier) for n in quarters):
        return origin
    done = max(0, progress["processed"] - first)
    return replace(origin, continued_at=(*origin.continued_at, done))
