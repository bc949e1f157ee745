"""Evaluation of a split in Lightning's test loop, after training or by `vae-eval`."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytorch_lightning as pl
import torch

from vae_cli.commands.run import Run, load
from vae_cli.config.command_schemas import EvalConfig
from vae_cli.config.schema import EvaluateConfig
from vae_cli.datasets import Data
from vae_cli.distributed import machine
from vae_cli.distributed.cores import Arrival
from vae_cli.distributed.process_group import ProcessLayout, use_threads, world_size
from vae_cli.distributed.progress import task
from vae_cli.distributed.rank import is_rank_zero, rank
from vae_cli.distributed.terminal import say
from vae_cli.errors import ConfigError
from vae_cli.evaluation.cluster_assignments import Assignments
from vae_cli.evaluation.evaluation import Evaluation
from vae_cli.evaluation.metrics.metric import Context
from vae_cli.evaluation.optional import optional
from vae_cli.evaluation.result_table import print_table
from vae_cli.runs import results
from vae_cli.runs.atomic_files import room, write_json
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.results import Results
from vae_cli.runs.source_code import source_code
from vae_cli.training.callbacks import EvaluationProgress
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.loggers import quiet_libraries


def check_split(data: Data, settings: EvaluateConfig) -> None:
    """Raise a ConfigError if `evaluate.split` has no examples."""
    if not len(getattr(data, settings.split)):
        key, filled = "evaluate.split", [name for name in ("train", "val", "test") if len(getattr(data, name))]
        raise ConfigError(f"{key}={settings.split}: {data.name} has no examples in it; use {key}={'|'.join(filled)}")


def evaluate_split(
    trainer: pl.Trainer,
    module: LatentModelModule,
    data: Data,
    settings: EvaluateConfig,
    prefix: str,
    limit_batches: int | None = None,
) -> Results:
    """The numbers of `evaluate.split` as PREFIX/NAME, with those of gaps/ and exact/, on rank 0; empty elsewhere."""
    check_split(data, settings)
    device = trainer.strategy.root_device
    context = Context(module.model, data, settings, device, limit_batches)
    module.evaluation = evaluation = Evaluation(context)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        trainer.test(module, context.loader(rank(), world_size()), verbose=False)
        module.to(device)  # Lightning moves it to the CPU
        torch.manual_seed(settings.seed)  # the draws of `compute` do not depend on the batches of this process
        evaluation.gather()
        return {**evaluation.compute(prefix)} if is_rank_zero() else {}


def settings_of(settings: EvaluateConfig) -> Results:
    """The settings of an evaluation as evaluate/NAME."""
    values = asdict(replace(settings, metrics={}))
    gaps, _ = values.pop("gaps") or {}, values.pop("metrics")
    values |= {f"metrics/{name}": node.target for name, node in settings.metrics.items()}
    return {f"evaluate/{name}": value for name, value in (values | {f"gaps/{k}": v for k, v in gaps.items()}).items()}


def evaluate_run(config: EvalConfig) -> Results:
    """`vae-eval`: the numbers of a checkpoint of a finished run, written into a file of their own in its folder."""
    quiet_libraries()
    began, arrival, _ = time.perf_counter(), Arrival.now(), source_code(Path.cwd())
    folder = RunFolder(Path(config.run))
    with task("loading the run"):
        run = load(folder.path, config.ckpt, dataset_path=config.dataset.path, dataset_root=config.dataset.root)
    machine.check(config.trainer.accelerator, config.trainer.precision)
    check_split(run.data, config.evaluate)
    place = room(folder.evaluations)
    gpu = config.trainer.accelerator != "cpu" and torch.cuda.is_available()
    machine.keep_freed_memory()
    use_threads(ProcessLayout(1, 1), asked=config.trainer.threads, gpu=gpu, arrival=arrival)
    numbers: Results = {"status": "done", "checkpoint": str(folder.checkpoint(config.ckpt))}
    trainer, split, limit = _trainer(config, folder.path), config.evaluate.split, config.trainer.limit_batches
    numbers |= evaluate_split(trainer, run.module, run.data, config.evaluate, split, limit)
    numbers |= settings_of(config.evaluate)
    numbers |= {
        "threads": torch.get_num_threads(),
        "data/sha256": run.facts.sha256,
        "wall_seconds": round(time.perf_counter() - began, 3),
    }
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    _write(run, config, numbers, place / f"{stamp}_{split}_k{config.evaluate.samples}_{os.getpid()}")
    return numbers


def _trainer(config: EvalConfig, folder: Path) -> pl.Trainer:
    """Lightning's Trainer for one process."""
    return pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=1,
        precision=config.trainer.precision,
        callbacks=[EvaluationProgress()],
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        inference_mode=False,  # a refinement differentiates
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _write(run: Run, config: EvalConfig, numbers: Results, stem: Path) -> None:
    """The numbers, on the terminal and as STEM.json, and under a mixture prior the cluster of every example."""
    written = [stem.with_name(f"{stem.name}.json")]
    print_table(numbers, f"{run.folder.name}, {config.ckpt} checkpoint")
    write_json(written[0], numbers | results.provenance(source_code(Path.cwd())))
    if run.has_clusters and not config.trainer.limit_batches:
        with optional("table of the clusters"), task("clustering every example"):
            clusters = Assignments.of(run.model, run.data, run.module.device, config.evaluate.batch_size)
            written += clusters.write(stem.with_name(f"{stem.name}_clusters"))
    say("written to " + ", ".join(os.path.relpath(path) for path in written))
