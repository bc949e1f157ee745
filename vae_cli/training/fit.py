"""Lightning's Trainer with its callbacks, and the training itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import get_class
from pytorch_lightning.callbacks import Callback

from vae_cli.config.schema import TrainConfig, TrainerConfig
from vae_cli.datasets import Data
from vae_cli.datasets.loader import BatchLoader
from vae_cli.distributed.process_group import ProcessLayout
from vae_cli.distributed.rank import is_rank_zero, rank
from vae_cli.errors import ConfigError
from vae_cli.models.model import StartsFromData
from vae_cli.runs.checkpoints import Checkpoint
from vae_cli.runs.folder import RunFolder
from vae_cli.training import warm_start
from vae_cli.training.blocks import ActsAtSteps, BlockLoader
from vae_cli.training.callbacks import (
    EpochProgress,
    EvaluationProgress,
    History,
    ImageLogger,
    LogWriter,
    MixtureMonitor,
    PhaseInitialiser,
    RandomState,
    StatusWriter,
)
from vae_cli.training.checkpointing import AtomicCheckpointIO, FixedNameCheckpoint, LastCheckpoint
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.loggers import RunLogger
from vae_cli.training.selection import PhaseAwareEarlyStopping, Selection
from vae_cli.training.together import step_engine


def on_gpu(settings: TrainerConfig) -> bool:
    """True if training runs on a GPU."""
    return settings.accelerator != "cpu" and torch.cuda.is_available()


def selection_of(data: Data, module: LatentModelModule) -> Selection:
    """The number by which the best epoch of the last phase is chosen."""
    monitor, mode = ("val/elbo", "max") if module.model.has_density else ("val/distortion", "min")
    selects = len(data.val) > 0 and "selection" in module.phases[-1].objective.provides
    return Selection(monitor if selects else None, mode, module.epochs - module.phases[-1].epochs)


def check_callbacks(config: TrainConfig) -> None:
    """Raise a ConfigError for a class of `callbacks` that is none of Lightning's."""
    for name, node in config.callbacks.items():
        if not issubclass(get_class(node.target), Callback):
            problem = f"callbacks.{name}._target_={node.target}: no callback of Lightning"
            raise ConfigError(f"{problem}; inherit from pytorch_lightning.Callback, or use callbacks.{name}=null")


def build_callbacks(
    config: TrainConfig,
    run: RunFolder,
    data: Data,
    module: LatentModelModule,
    history: History,
    loggers: Sequence[RunLogger],
) -> list[Callback]:
    """The callbacks of a training, in the order in which Lightning calls them."""
    settings, selection = config.trainer, selection_of(data, module)
    limit = settings.limit_batches and settings.limit_batches * config.dataset.arguments["batch_size"]
    shown: list[Callback] = [EpochProgress(history), EvaluationProgress(), StatusWriter(run, history, selection)]
    files = {"dirpath": run.checkpoints, "save_on_train_epoch_end": True, "enable_version_counter": False}
    best = FixedNameCheckpoint(filename="best", **asdict(selection), **files)
    callbacks: list[Callback] = [
        *(node.build() for node in config.callbacks.values()),
        RandomState(config.seed),
        PhaseInitialiser(data, config.seed, limit),
        MixtureMonitor(),
        history,
        *(shown if is_rank_zero() else ()),
        *([LogWriter(loggers, history, config.logger.every)] if loggers else []),
        best,
        LastCheckpoint(best, settings.checkpoint_every, filename="last", **files),
    ]
    if settings.patience and selection.monitor:
        callbacks.append(PhaseAwareEarlyStopping(settings.patience, selection, history))
    if config.logger.images and any(logger.shows_images for logger in loggers):
        callbacks.append(ImageLogger(loggers, data, config.logger.images, config.evaluate.seed))
    return callbacks


def build_trainer(
    config: TrainConfig,
    processes: ProcessLayout,
    run: RunFolder,
    data: Data,
    module: LatentModelModule,
    loggers: Sequence[RunLogger],
    checkpoint: Checkpoint | None = None,
) -> tuple[History, pl.Trainer]:
    """Lightning's Trainer, and the history among its callbacks."""
    settings = config.trainer
    history = History(None if config.logger.is_none else run.history_file)
    partial = len(module.phases) > 1 or "rate" not in module.position.phase.objective.provides  # or: without the prior
    deterministic = settings.deterministic or torch.are_deterministic_algorithms_enabled()
    strategy, environment = processes.strategy(on_gpu(settings), partial)
    trainer = pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=processes.nodes,
        strategy=strategy,
        precision=settings.precision,  # pyright: ignore[reportArgumentType]  # `fastest` has been chosen before
        max_epochs=module.epochs,
        deterministic=settings.deterministic if deterministic else None,  # None spares torch's compiler an import
        default_root_dir=run.path,
        logger=False,
        callbacks=build_callbacks(config, run, data, module, history, loggers),
        plugins=[AtomicCheckpointIO(run, config.cluster.notice, checkpoint), environment],
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        inference_mode=False,  # a refinement differentiates
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    return history, trainer


def fit(
    config: TrainConfig,
    processes: ProcessLayout,
    data: Data,
    module: LatentModelModule,
    trainer: pl.Trainer,
    checkpoint: Checkpoint | None = None,
    loaded: tuple[str, ...] = (),
) -> None:
    """Train, from a checkpoint of the same run if one is given; `loaded` parts do not start from the data."""
    settings, size, device = config.trainer, config.evaluate.batch_size, trainer.strategy.root_device
    common: dict[str, Any] = {"seed": config.seed, "device": device, "limit": settings.limit_batches}
    part: dict[str, Any] = {"rank": rank(), "processes": processes.count}
    loader = data.loader(
        "train", batch_size=config.dataset.arguments["batch_size"], shuffle=settings.shuffle, **common, **part
    )
    next_steps = [callback.next_step for callback in trainer.callbacks if isinstance(callback, ActsAtSteps)]  # pyright: ignore[reportAttributeAccessIssue]
    blocks = BlockLoader(loader, settings.accumulate_grad_batches, next_steps)
    module.steps_per_epoch = blocks.steps_per_epoch
    module.engine = step_engine(module, trainer, blocks, settings.gradient_clip_val, settings.capture)
    validation = None
    if len(data.val) and module.model.infers:
        validation = data.loader("val", batch_size=size, shuffle=False, whole=True, **common, **part)
    if checkpoint:  # Lightning itself loads the loader's state in the middle of an epoch only
        blocks.load_state_dict(checkpoint.content["loops"]["fit_loop"]["state_dict"]["combined_loader"][0])
    else:
        module.to(device)
        _start_from_data(module, lambda: data.loader("train", batch_size=size, shuffle=True, **common), loaded)
    trainer.fit(module, blocks, validation, ckpt_path=checkpoint.path if checkpoint else None, weights_only=True)
    module.to(device)  # Lightning has moved it to the CPU


def _start_from_data(module: LatentModelModule, loader: Callable[[], BatchLoader], loaded: tuple[str, ...]) -> None:
    """Initialise each module that starts from data with a loader of its own; `loaded` parts keep their weights."""
    kept = {n: v.clone() for n, v in module.model.state_dict().items() if warm_start.part_of(n, loaded)}
    for piece in module.model.modules():
        if isinstance(piece, StartsFromData):
            piece.start_from(loader())
    module.model.load_state_dict(kept, strict=False)
