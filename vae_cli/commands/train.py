"""One run: data, model, fit, evaluation, figures, results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from torch import Tensor

from vae_cli.commands import ending, training_results
from vae_cli.commands.evaluate import check_split, evaluate_split, settings_of
from vae_cli.commands.header import show_data, show_machine
from vae_cli.config.schema import EvaluateConfig, TrainConfig, plain
from vae_cli.datasets import Data
from vae_cli.datasets.info import DatasetInfo
from vae_cli.datasets.schema import Schema
from vae_cli.distributed import machine
from vae_cli.distributed.cores import Arrival, release
from vae_cli.distributed.process_group import ProcessLayout, broadcast_module, use_threads
from vae_cli.distributed.progress import task
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.distributed.terminal import begin_log
from vae_cli.distributions.standardisation import constant
from vae_cli.errors import warn
from vae_cli.evaluation.optional import optional
from vae_cli.models.model import posterior_moments
from vae_cli.runs import checkpoints, results
from vae_cli.runs.checkpoints import Checkpoint, load_weights
from vae_cli.runs.find import link_newest
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import sweep_name
from vae_cli.runs.overrides import presets
from vae_cli.runs.results import Results
from vae_cli.runs.source_code import source_code
from vae_cli.runs.status import UNFINISHED, Start
from vae_cli.training import fastest, loggers, resumption, warm_start
from vae_cli.training.build import build_module
from vae_cli.training.checkpointing import FixedNameCheckpoint
from vae_cli.training.fit import build_trainer, check_callbacks, fit, on_gpu
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.pruning import is_pruned


def train(
    config: TrainConfig,
    data: Data,
    folder: Path,
    arrival: Arrival | None = None,
    checkpoint: Checkpoint | None = None,
    closing: ExitStack | None = None,
) -> Results:
    """Train and evaluate the model of `config` in `folder`, from its start or from a checkpoint of the same run.

    All ranks call it; rank 0 writes the results. With an `arrival` the run shares the cores of the machine with the
    other runs on it. `closing` closes the loggers, after its owner has written how the run has ended; without it they
    close here.
    """
    if closing is None:
        with ExitStack() as closing:
            return train(config, data, folder, arrival, checkpoint, closing)
    run, summary = RunFolder(folder), Results()
    loggers.quiet_libraries()
    processes = ProcessLayout.of(config.trainer.devices, config.trainer.num_nodes)
    recorded = _recorded(config, run, checkpoint)
    asked, tried = config, _use_machine(config, processes, arrival, recorded.get("threads"))
    config, speed = fastest.chosen(config, processes, data, recorded)
    module, loaded = _module(config, data, tried, checkpoint)
    with ExitStack() as end:
        end.callback(release)
        resumed = checkpoint.content["global_step"] if checkpoint else None
        with task("starting the loggers"):
            typed = run.typed_if_readable().resumed(_typed()).overrides
            known = plain(asked) | {"overrides": typed, "presets": presets(typed)}
            opened = loggers.opened(config.logger, run, _sweep(), known, resumed, summary)
            run_loggers = closing.enter_context(opened)
        if is_rank_zero():
            start = _begin(asked, run, data, module, checkpoint)
            show_machine(module, config.trainer, start)
        end.enter_context(processes.complete(folder, resumes=checkpoint is not None))
        history, trainer = build_trainer(config, processes, run, data, module, run_loggers, checkpoint)
        fit(config, processes, data, module, trainer, checkpoint, loaded)
        best = _restore_best(config, run, data, module, trainer)
        summary |= {"status": UNFINISHED, "seed": config.seed}
        summary |= training_results.course(config.trainer.max_epochs, data, module, trainer, history, best)
        summary |= training_results.facts(data, module) | speed
        if not is_pruned(trainer):
            summary |= _evaluation(config.evaluate, config.trainer.limit_batches, data, module, trainer)
        if is_rank_zero():
            summary |= results.provenance(source_code(Path.cwd()))  # with the packages imported since the start
            if config.figures and not is_pruned(trainer):
                run.write_results(summary)
                ending.draw(config, run, data, module, history, run_loggers)
        trainer.strategy.barrier()
    if is_rank_zero():
        if is_pruned(trainer):
            ending.prune(run, summary)
        else:
            ending.end(config, run, summary, data.name, alone=_sweep() is None)
    return summary


def _use_machine(
    config: TrainConfig, processes: ProcessLayout, arrival: Arrival | None, recorded: int | None
) -> pl.Trainer:
    """Check that the machine has the devices, and use its threads; a Trainer with these settings."""
    settings = config.trainer
    precision = "32-true" if settings.precision == "fastest" else settings.precision
    tried = machine.check(settings.accelerator, precision, settings.devices)
    machine.keep_freed_memory()
    use_threads(processes, asked=settings.threads, gpu=on_gpu(settings), arrival=arrival, recorded=recorded)
    return tried


def _recorded(config: TrainConfig, run: RunFolder, checkpoint: Checkpoint | None) -> Mapping[str, Any]:
    """Facts that an earlier start of the run, or the run that is reproduced, has recorded."""
    if checkpoint:
        return run.results_if_readable() | checkpoint.content
    return RunFolder(Path(config.reproduce)).results_if_readable() if config.reproduce else {}


def _module(
    config: TrainConfig, data: Data, tried: pl.Trainer, checkpoint: Checkpoint | None
) -> tuple[LatentModelModule, tuple[str, ...]]:
    """The module to train, and the parts of its model that have the weights of another run (`init`)."""
    settings, facts, loaded = config.trainer, DatasetInfo.of(data), tuple[str, ...]()
    pl.seed_everything(config.seed, verbose=False)
    module = build_module(config, facts)
    module.plan = _plan(config, data)
    module.origin = replace(module.origin, max_epochs=settings.max_epochs)
    if checkpoint:
        resumption.prepare(config, module, facts, tried, checkpoint)
    elif config.init:
        warm = warm_start.start(module.model, config.init, config.init_parts, facts)
        module.origin = replace(module.origin, init=warm.results)
        warm.announce([name for name in ("pretraining", "initialisation") if getattr(config, name)])
        loaded = warm.parts
    check_callbacks(config)
    check_split(data, config.evaluate)
    if settings.compile:
        module.compile_objectives()
    return module, loaded


def _plan(config: TrainConfig, data: Data) -> str:
    """All that determines the operators of the steps: runs that differ in the rest alone share their recordings."""
    rest = ("seed", "optimizer", "scheduler", "evaluate", "name", "tags")
    return json.dumps([data.sha256, {key: value for key, value in plain(config).items() if key not in rest}])


def _sweep() -> str | None:
    """The sweep to which this run belongs, if any."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return sweep_name(Path(HydraConfig.get().sweep.dir))


def _typed() -> list[str]:
    """The overrides of this start; none without hydra."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def _begin(
    config: TrainConfig, run: RunFolder, data: Data, module: LatentModelModule, checkpoint: Checkpoint | None
) -> Start:
    """Write the first files; a run that is refused before this keeps its earlier results."""
    if checkpoint:
        run.repair(checkpoint)
    gpu = torch.cuda.get_device_name() if on_gpu(config.trainer) else None
    count, threads = ProcessLayout.of(config.trainer.devices, config.trainer.num_nodes).count, torch.get_num_threads()
    start = Start.now(gpu=gpu, threads=threads, processes=count)
    code = source_code(Path.cwd())
    run.begin(plain(config), _typed(), start, results.provenance(code))
    code.write(run.path)
    Schema.of(data).write(run)
    begin_log()
    if HydraConfig.initialized() and _sweep() is None:
        link_newest(run)
    show_data(data)
    if data.standardisation and isinstance(data.train.x, Tensor) and (columns := constant(data.train.x)):
        warn(f"dataset.standardise: {columns} of the training split; the scale there is 1")
    return start


def _restore_best(
    config: TrainConfig, run: RunFolder, data: Data, module: LatentModelModule, trainer: pl.Trainer
) -> int:
    """Load the best checkpoint's weights; fit an ex-post prior to its codes and keep it there. Returns its epoch.

    The weights of the last epoch are in memory, unless a callback of the user's has changed them at the end.
    """
    path, fits_prior = run.checkpoint("best"), "ex_post" in module.model.prior.provides
    best = next(one for one in trainer.checkpoint_callbacks if isinstance(one, FixedNameCheckpoint) and one.is_best)
    if best.holds(trainer.global_step) and not (fits_prior or config.callbacks):
        module.eval()
        return best.epoch + 1
    checkpoint = checkpoints.load(path)
    load_weights(module, checkpoint, path)
    module.eval()
    if fits_prior:
        if is_rank_zero():
            size = config.evaluate.batch_size
            train = data.loader("train", batch_size=size, seed=0, shuffle=False, device=module.device)
            with optional("mixture on the codes (prior=ex_post)"), task("fitting a mixture to the codes"):
                module.model.prior.fit(posterior_moments(module.model, train).means, config.seed)
            checkpoints.save({**checkpoint, "state_dict": module.state_dict()}, path)
        broadcast_module(module)
    return checkpoint["epoch"] + 1


def _evaluation(
    settings: EvaluateConfig, limit_batches: int | None, data: Data, module: LatentModelModule, trainer: pl.Trainer
) -> Results:
    """The evaluation of the trained model, and its settings.

    The names val/... and train/... are those of training itself, so that another split than test is `SPLIT_split/...`.
    """
    prefix = settings.split if settings.split == "test" else f"{settings.split}_split"
    return evaluate_split(trainer, module, data, settings, prefix, limit_batches) | settings_of(settings)
