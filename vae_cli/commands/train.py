"""One run: data, model, fit, evaluation, figures, results."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, replace
from math import ceil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from torch import Tensor

from vae_cli import figures
from vae_cli.commands.evaluate import check_split, evaluate_split, settings_of
from vae_cli.config.schema import TrainConfig, TrainerConfig, plain
from vae_cli.datasets import Data
from vae_cli.datasets.info import DatasetInfo
from vae_cli.distributed import machine
from vae_cli.distributed.cores import Arrival, release
from vae_cli.distributed.process_group import ProcessLayout, broadcast_module, use_threads
from vae_cli.distributed.rank import is_rank_zero, rank
from vae_cli.distributions.standardisation import constant
from vae_cli.errors import warn
from vae_cli.evaluation.optional import optional
from vae_cli.evaluation.result_table import print_table
from vae_cli.models.model import StartsFromData, posterior_moments
from vae_cli.runs import checkpoints, layout, results
from vae_cli.runs.checkpoints import Checkpoint, load_weights
from vae_cli.runs.continuation import resolved
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.results import Results
from vae_cli.runs.status import UNFINISHED
from vae_cli.training import loggers, resumption, warm_start
from vae_cli.training.build import build_module
from vae_cli.training.callbacks import (
    EpochProgress,
    FigureLogger,
    History,
    MixtureMonitor,
    PhaseInitialiser,
    RandomState,
    StatusWriter,
)
from vae_cli.training.checkpointing import AtomicCheckpointIO, FixedNameCheckpoint, LastCheckpoint
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.selection import PhaseAwareEarlyStopping, Selection


def train(
    config: TrainConfig,
    data: Data,
    folder: Path,
    arrival: Arrival | None = None,
    checkpoint: Checkpoint | None = None,
) -> Results:
    """Train and evaluate the model of `config` in `folder`, from its start or from a checkpoint of the same run.

    All ranks come here; rank 0 writes the results. With an `arrival` the run shares the cores of the machine with the
    other runs on it.
    """
    began = time.perf_counter()
    loggers.quiet_libraries()
    run, settings = RunFolder(folder), config.trainer
    layout = ProcessLayout.of(settings.devices, settings.num_nodes)
    tried = machine.check(settings.accelerator, settings.precision, settings.devices)
    recorded = checkpoint.content.get("threads") if checkpoint else None
    gpu = on_gpu(settings)
    use_threads(layout, asked=settings.threads, gpu=gpu, arrival=arrival, recorded=recorded)
    facts = DatasetInfo.of(data)
    pl.seed_everything(config.seed, verbose=False)
    module = build_module(config, facts)
    module.origin = replace(module.origin, max_epochs=settings.max_epochs)
    if checkpoint:
        resumption.prepare(config, module, facts, tried, checkpoint)
    warm = None
    if config.init and not checkpoint:
        warm = warm_start.start(module.model, config.init, config.init_parts, facts)
        module.origin = replace(module.origin, init=warm.results)
        warm.announce([name for name in ("pretraining", "initialisation") if getattr(config, name)])
    check_split(data, config.evaluate)
    if settings.compile:
        for phase in module.phases:
            phase.objective.compile()
    run_loggers = loggers.build_loggers(config.logger, folder, sweep(), plain(config)) if is_rank_zero() else []
    summary: Results = {}
    succeeded = False
    try:
        if is_rank_zero():  # until here a refusal leaves an earlier end of this run as it was
            if checkpoint:
                run.repair(checkpoint)
            run.begin(resolved(OmegaConf.create(plain(config))))
            _say_constant(data)
        with layout.complete(folder, resumes=checkpoint is not None):
            history, trainer = build_trainer(config, layout, run, data, module, run_loggers, checkpoint)
            fit(config, layout, data, module, trainer, checkpoint, warm.parts if warm else ())
            best = restore_best(config, run, data, module)
            summary = {"status": "done", "seed": config.seed, **_training(config, data, module, trainer, history, best)}
            summary |= _numbers(config, data, module, trainer)
            summary["wall_seconds"] = round(time.perf_counter() - began, 3)
            if is_rank_zero():
                _draw(config, run, data, module, trainer, history, run_loggers, summary)
            trainer.strategy.barrier()
        succeeded = True
    finally:
        loggers.finish(run_loggers, summary, succeeded)
        release()
    if is_rank_zero():
        run.write_results(summary)  # last of all: a run that is killed before this is not done
        print_table(summary, f"{data.name}, seed={config.seed}")
        written = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir() if not p.name.startswith("."))
        print(f"written to {os.path.relpath(folder)}: {', '.join(written)}")
    return summary


def on_gpu(settings: TrainerConfig) -> bool:
    """Whether training runs on a GPU."""
    return settings.accelerator != "cpu" and torch.cuda.is_available()


def _draw(
    config: TrainConfig,
    run: RunFolder,
    data: Data,
    module: LatentModelModule,
    trainer: pl.Trainer,
    history: History,
    run_loggers: list[Logger],
    summary: Results,
) -> None:
    """The numbers, so that they are not lost, and the figures."""
    run.write_results(summary | {"status": UNFINISHED})
    drawn = figures.draw(module.model, data, module.device, history=history.rows, seed=config.evaluate.seed)
    loggers.log_figures(run_loggers, drawn, trainer.global_step)
    figures.save(drawn, run.figures)


def _say_constant(data: Data) -> None:
    """Name the columns that have no standard deviation to be scaled by."""
    if data.standardisation and isinstance(data.train.x, Tensor) and (columns := constant(data.train.x)):
        warn(f"dataset.standardise: {columns} of the training split; the scale there is 1")


def sweep() -> str | None:
    """The sweep this run belongs to, if any."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return layout.sweep_name(Path(HydraConfig.get().sweep.dir))


def build_trainer(
    config: TrainConfig,
    layout: ProcessLayout,
    run: RunFolder,
    data: Data,
    module: LatentModelModule,
    run_loggers: list[Logger],
    checkpoint: Checkpoint | None = None,
) -> tuple[History, pl.Trainer]:
    """Lightning's Trainer with our callbacks, and the history among them."""
    settings = config.trainer
    selection = selection_of(data, module)
    history = History(None if config.logger.name == "none" else run.history_file)
    shown: list[Callback] = [EpochProgress(history), StatusWriter(run, history)] if is_rank_zero() else []
    files = {"dirpath": run.checkpoints, "save_on_train_epoch_end": True, "enable_version_counter": False}
    callbacks: list[Callback] = [
        RandomState(config.seed),
        PhaseInitialiser(data, config.seed, epoch_limit(config)),
        MixtureMonitor(),
        history,
        *shown,
        FixedNameCheckpoint(filename="best", **asdict(selection), **files),
        LastCheckpoint(settings.checkpoint_every, filename="last", **files),
    ]
    if settings.patience and selection.monitor:
        callbacks.append(PhaseAwareEarlyStopping(settings.patience, selection, history))
    if settings.figures_every:
        callbacks.append(FigureLogger(data, settings.figures_every, config.evaluate.seed))
    partial = len(module.phases) > 1 or "rate" not in module.position.phase.objective.provides  # or: without the prior
    strategy, environment = layout.strategy(on_gpu(settings), partial)
    trainer = pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=layout.nodes,
        strategy=strategy,
        precision=settings.precision,
        max_epochs=module.epochs,
        gradient_clip_val=settings.gradient_clip_val,
        accumulate_grad_batches=settings.accumulate_grad_batches,
        deterministic=settings.deterministic,
        default_root_dir=run.path,
        logger=run_loggers,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO(checkpoint), environment],
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        inference_mode=False,  # a refinement differentiates
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    return history, trainer


def epoch_limit(config: TrainConfig) -> int | None:
    """Training examples in an epoch, where trainer.limit_batches limits them."""
    limit = config.trainer.limit_batches
    return limit and limit * config.dataset.arguments["batch_size"]


def selection_of(data: Data, module: LatentModelModule) -> Selection:
    """By what the best epoch of the last phase is chosen."""
    monitor, mode = ("val/elbo", "max") if module.model.has_density else ("val/distortion", "min")
    selects = len(data.val) > 0 and "selection" in module.phases[-1].objective.provides
    return Selection(monitor if selects else None, mode, module.epochs - module.phases[-1].epochs)


def fit(
    config: TrainConfig,
    layout: ProcessLayout,
    data: Data,
    module: LatentModelModule,
    trainer: pl.Trainer,
    checkpoint: Checkpoint | None = None,
    loaded: tuple[str, ...] = (),
) -> None:
    """Train, from a checkpoint of the same run if one is given; parts that are loaded do not start from the data."""
    settings, device = config.trainer, trainer.strategy.root_device
    common: dict[str, Any] = {"seed": config.seed, "device": device, "limit": settings.limit_batches}
    part: dict[str, Any] = {"rank": rank(), "processes": layout.count}
    loader = data.loader(
        "train", batch_size=config.dataset.arguments["batch_size"], shuffle=settings.shuffle, **common, **part
    )
    module.steps_per_epoch = ceil(len(loader) / settings.accumulate_grad_batches)
    module.window_weights = loader.window_weights(settings.accumulate_grad_batches)
    validation = None
    if len(data.val) and module.model.infers:
        size = config.evaluate.batch_size
        validation = data.loader("val", batch_size=size, shuffle=False, whole=True, **common, **part)
    if checkpoint:  # Lightning itself loads the loader's state in the middle of an epoch only
        loops = checkpoint.content["loops"]
        loader.load_state_dict(loops["fit_loop"]["state_dict"]["combined_loader"][0])
    else:
        kept = {n: v.clone() for n, v in module.model.state_dict().items() if warm_start.part_of(n, loaded)}
        module.to(device)
        for piece in module.model.modules():
            if isinstance(piece, StartsFromData):
                piece.start_from(data.loader("train", batch_size=config.evaluate.batch_size, shuffle=True, **common))
        module.model.load_state_dict(kept, strict=False)
    trainer.fit(module, loader, validation, ckpt_path=checkpoint.path if checkpoint else None, weights_only=True)
    module.to(device)  # Lightning has moved it to the CPU


def restore_best(config: TrainConfig, run: RunFolder, data: Data, module: LatentModelModule) -> int:
    """Load the best checkpoint's weights; fit an ex-post prior to its codes and keep it there. Returns its epoch."""
    path = run.checkpoint("best")
    checkpoint = checkpoints.load(path)
    load_weights(module, checkpoint, path)
    module.eval()
    if "ex_post" in module.model.prior.provides:
        device, size = module.device, config.evaluate.batch_size
        if is_rank_zero():
            train = data.loader("train", batch_size=size, seed=0, shuffle=False, device=device)
            with optional("mixture on the codes (prior=ex_post)"):
                module.model.prior.fit(posterior_moments(module.model, train).means, config.seed)
            checkpoints.save({**checkpoint, "state_dict": module.state_dict()}, path)
        broadcast_module(module)
    return checkpoint["epoch"] + 1


def _training(
    config: TrainConfig, data: Data, module: LatentModelModule, trainer: pl.Trainer, history: History, best: int
) -> Results:
    """How training went, why it ended, and which epoch is kept, by what."""
    rows, selection = history.rows, selection_of(data, module)
    patience = next((one for one in trainer.checkpoint_callbacks if isinstance(one, PhaseAwareEarlyStopping)), None)
    early = patience.reason if patience else None
    summary: Results = {"train/epochs": len(rows), "train/steps": trainer.global_step}
    summary |= {"train/stopped": early or f"trainer.max_epochs={config.trainer.max_epochs}"}
    summary |= {"train/best_epoch": best, "train/best_by": selection.words(rows)}
    if seconds := sum(row["train/seconds"] for row in rows):
        examples = sum(row["train/samples_per_second"] * row["train/seconds"] for row in rows)
        summary["train/samples_per_second"] = examples / seconds
    if selection.monitor:
        summary[selection.monitor] = rows[best - 1][selection.monitor]
    if early and is_rank_zero():
        trained = f"stopped at epoch {len(rows)} by" if patience and not patience.at_once else "no epoch was trained:"
        print(f"{trained} {early}; trainer.patience=null goes on", flush=True)
    if selection.monitor and not selection.candidates(rows) and is_rank_zero():
        warn(f"{selection.monitor} was finite at no epoch: the weights are those of the last one, epoch {best}")
    return summary


def _numbers(config: TrainConfig, data: Data, module: LatentModelModule, trainer: pl.Trainer) -> Results:
    """What there is to know of the trained model and the data; of a split that is not the test split as `..._split`.

    The names val/... and train/... are those of training itself.
    """
    split = config.evaluate.split
    summary = evaluate_split(
        trainer,
        module,
        data,
        config.evaluate,
        split if split == "test" else f"{split}_split",
        config.trainer.limit_batches,
    )
    summary |= settings_of(config.evaluate) | module.origin.results
    summary["threads"] = torch.get_num_threads()
    summary["model/parameters"] = sum(p.numel() for p in module.model.parameters())
    summary |= {"data/name": data.name, "data/sha256": data.sha256, "data/domain": data.domain}
    summary["data/standardised"] = data.standardisation is not None
    if data.standardisation:
        summary["data/log_scale"] = data.standardisation.log_scale  # log p(x) = log p(standardised x) - this
    if data.class_names:
        summary["data/class_names"] = list(data.class_names)
    summary |= {f"data/{split}_size": len(getattr(data, split)) for split in ("train", "val", "test")}
    return summary | results.provenance()
