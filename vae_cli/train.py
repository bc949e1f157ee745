"""One run: data, model, fit, evaluation, figures, results."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger

from vae_cli import checkpoints, figures, folders, loggers, machine, results, resumption, warm_start
from vae_cli.build import build_module
from vae_cli.callbacks import ComponentWatch, EpochProgress, History, Panels, PhaseStart, RandomState, Standing
from vae_cli.continuation import read_results, resolved
from vae_cli.datasets import Data
from vae_cli.evaluate import check_evaluation, evaluate_split, settings_of
from vae_cli.evaluation import DataFacts
from vae_cli.files import write_text_atomically
from vae_cli.folders import CONFIG, LAST, RESULTS, checkpoint_path
from vae_cli.models import StartsFromData, codes
from vae_cli.module import LitVAE
from vae_cli.priors import ExPost
from vae_cli.processes import Layout, alike
from vae_cli.ranks import leads, rank
from vae_cli.results import Results
from vae_cli.run import load_weights
from vae_cli.saving import AtomicCheckpointIO, Keeper, Latest, Patience

THREADS = torch.get_num_threads()
UNFINISHED = "unfinished"


def train(config: DictConfig, data: Data, folder: Path) -> Results:
    """Train and evaluate what `config` describes in `folder`; its `resume` is that folder to go on from last.ckpt.

    Of several processes all come here; the first one writes the results.
    """
    began = time.perf_counter()
    loggers.quiet_libraries()
    layout, tried = Layout.of(config), machine.check(config.trainer)
    torch.set_num_threads(config.trainer.threads or layout.threads(THREADS))
    facts = DataFacts.of(data)
    pl.seed_everything(config.seed, verbose=False)
    module = build_module(config, facts)
    checkpoint = resumption.prepare(config, module, facts, tried) if config.resume else None
    module.origin = replace(module.origin, max_epochs=config.trainer.max_epochs)
    warm = warm_start.start(module.model, config, facts) if config.get("init") and not checkpoint else None
    if warm:
        module.origin = replace(module.origin, init=warm.results)
        warm.announce(config)
    check_evaluation(module, data, config)
    if config.trainer.compile:
        for phase in module.phases:
            phase.objective.compile()
    run_loggers = loggers.build_loggers(config, folder, sweep()) if leads() else []
    summary: Results = {}
    succeeded = False
    try:
        if leads():  # what can be refused is refused by now: until here an earlier end of this run stays as it was
            if checkpoint:
                checkpoints.mend(folder)
                checkpoint = folder / LAST
            begin(config, folder)
        with layout.complete(folder, resumes=checkpoint is not None):
            history, trainer = build_trainer(config, layout, folder, data, module, run_loggers)
            fit(config, layout, data, module, trainer, checkpoint, warm.parts if warm else ())
            restore_best(config, folder, data, module)
            summary = _numbers(config, data, module, trainer, history)
            summary["wall_seconds"] = round(time.perf_counter() - began, 3)
            if leads():
                _draw(config, folder, data, module, trainer, history, run_loggers, summary)
            trainer.strategy.barrier()
        succeeded = True
    finally:
        loggers.finish(run_loggers, summary, succeeded)
    if leads():
        results.write(summary, folder / RESULTS)  # last of all: a run that is killed before this is not done
        results.print_table(summary, f"{data.name}, seed={config.seed}")
        written = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir() if not p.name.startswith("."))
        print(f"written to {os.path.relpath(folder)}: {', '.join(written)}")
    return summary


def _draw(
    config: DictConfig,
    folder: Path,
    data: Data,
    module: LitVAE,
    trainer: pl.Trainer,
    history: History,
    run_loggers: list[Logger],
    summary: Results,
) -> None:
    """The numbers, so that they are not lost, and the figures."""
    results.write(summary | {"status": UNFINISHED}, folder / RESULTS)
    drawn = figures.draw(module.model, data, module.device, history=history.rows, seed=config.evaluate.seed)
    loggers.log_figures(run_loggers, drawn, trainer.global_step)
    figures.save(drawn, folder / "figures")


def begin(config: DictConfig, folder: Path) -> None:
    """Write the resolved configuration; paths absolute, so that the run can be evaluated from any directory.

    First, an earlier end of this run is one no more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if earlier := read_results(folder):
        numbers = {name: value for name, value in earlier.items() if name != "error"}
        results.write(numbers | {"status": UNFINISHED}, folder / RESULTS)
    write_text_atomically(folder / CONFIG, OmegaConf.to_yaml(resolved(config)))


def sweep() -> str | None:
    """The sweep this run belongs to, if any."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return folders.sweep_name(Path(HydraConfig.get().sweep.dir))


def build_trainer(
    config: DictConfig, layout: Layout, folder: Path, data: Data, module: LitVAE, run_loggers: list[Logger]
) -> tuple[History, pl.Trainer]:
    """Lightning's Trainer with our callbacks, and the history among them."""
    settings = config.trainer
    validated = len(data.val) > 0
    selects = validated and module.phases[-1].objective.selects
    prepared = module.epochs - module.phases[-1].epochs
    monitor, mode = ("val/elbo", "max") if module.model.has_density else ("val/distortion", "min")
    history = History(None if config.logger.name == "none" else folder / "metrics.csv")
    shown: list[Callback] = [EpochProgress(history), Standing(folder, history)] if leads() else []
    files = {"dirpath": folder / "checkpoints", "save_on_train_epoch_end": True, "enable_version_counter": False}
    callbacks: list[Callback] = [
        RandomState(config.seed),
        PhaseStart(data, config),
        ComponentWatch(),
        history,
        *shown,
        Keeper(filename="best", monitor=monitor if selects else None, mode=mode, after=prepared, **files),
        Latest(settings.get("checkpoint_every"), filename="last", **files),
    ]
    if settings.patience and selects:
        callbacks.append(Patience(monitor, mode=mode, patience=settings.patience, after=prepared))
    if settings.figures_every:
        callbacks.append(Panels(data, settings.figures_every, config.evaluate.seed))
    gpu = settings.accelerator != "cpu" and torch.cuda.is_available()
    partial = len(module.phases) > 1 or not module.place.phase.objective.needs_density  # or: without the prior
    strategy, environment = layout.strategy(gpu, partial)
    trainer = pl.Trainer(
        accelerator=settings.accelerator,
        devices=list(settings.devices) if OmegaConf.is_list(settings.devices) else settings.devices,
        num_nodes=layout.nodes,
        strategy=strategy,
        precision=settings.precision,
        max_epochs=module.epochs,
        gradient_clip_val=settings.gradient_clip,
        accumulate_grad_batches=settings.accumulate,
        deterministic=settings.deterministic,
        default_root_dir=folder,
        logger=run_loggers,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO(), environment],
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        inference_mode=False,  # a refinement differentiates
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    return history, trainer


def fit(
    config: DictConfig,
    layout: Layout,
    data: Data,
    module: LitVAE,
    trainer: pl.Trainer,
    checkpoint: Path | None = None,
    loaded: tuple[str, ...] = (),
) -> None:
    """Train, from a checkpoint of the same run if one is given; parts that are loaded do not start from the data."""
    settings, device = config.trainer, trainer.strategy.root_device
    common: dict[str, Any] = {"seed": config.seed, "device": device, "limit": settings.limit_batches}
    part: dict[str, Any] = {"rank": rank(), "processes": layout.count}
    loader = data.loader("train", batch_size=config.dataset.batch_size, shuffle=settings.shuffle, **common, **part)
    module.steps_per_epoch = ceil(len(loader) / settings.accumulate)
    for phase in module.phases:
        phase.objective.examples = len(data.train)
    validation = None
    if len(data.val) and module.model.infers:
        size = config.evaluate.batch_size
        validation = data.loader("val", batch_size=size, shuffle=False, whole=True, **common, **part)
    if checkpoint:  # Lightning itself loads the loader's state in the middle of an epoch only
        loops = checkpoints.load(checkpoint)["loops"]
        loader.load_state_dict(loops["fit_loop"]["state_dict"]["combined_loader"][0])
    else:
        kept = {n: v.clone() for n, v in module.model.state_dict().items() if warm_start.part_of(n, loaded)}
        for piece in module.model.modules():
            if isinstance(piece, StartsFromData):
                piece.start_from(data.loader("train", batch_size=config.evaluate.batch_size, shuffle=True, **common))
        module.model.load_state_dict(kept, strict=False)
    trainer.fit(module, loader, validation, ckpt_path=checkpoint, weights_only=True)


def restore_best(config: DictConfig, folder: Path, data: Data, module: LitVAE) -> None:
    """Load the best checkpoint's weights; fit an ex-post prior to its codes and keep it there."""
    path = checkpoint_path(folder, "best")
    checkpoint = checkpoints.load(path)
    load_weights(module, checkpoint, path)
    module.eval()
    if isinstance(module.model.prior, ExPost):
        device, size = module.device, config.evaluate.batch_size
        if leads():
            train = data.loader("train", batch_size=size, seed=0, shuffle=False, device=device)
            module.model.prior.fit(codes(module.model, train).means, config.seed)
            checkpoints.save({**checkpoint, "state_dict": module.state_dict()}, path)
        alike(module)


def _numbers(config: DictConfig, data: Data, module: LitVAE, trainer: pl.Trainer, history: History) -> Results:
    """Everything results.json holds but the wall time."""
    summary: Results = {"status": "done", "seed": config.seed}
    epochs = history.rows
    summary |= {"train/epochs": len(epochs), "train/steps": trainer.global_step}
    if seconds := sum(row["train/seconds"] for row in epochs):
        examples = sum(row["train/samples_per_second"] * row["train/seconds"] for row in epochs)
        summary["train/samples_per_second"] = examples / seconds
    for keeper in trainer.checkpoint_callbacks:
        if isinstance(keeper, Keeper) and keeper.monitor and keeper.best_model_score is not None:
            summary[keeper.monitor] = float(keeper.best_model_score)
    summary |= evaluate_split(trainer, module, data, config)
    summary |= settings_of(config) | module.origin.results
    summary["model/parameters"] = sum(p.numel() for p in module.model.parameters())
    summary |= {"data/name": data.name, "data/sha256": data.sha256, "data/domain": data.domain}
    summary |= {f"data/{split}_size": len(getattr(data, split)) for split in ("train", "val", "test")}
    return summary | results.provenance()
