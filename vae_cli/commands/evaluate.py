"""Evaluating a split with Lightning's test loop, after training or again by `vae-eval`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.commands.run import load
from vae_cli.config.schema import EvalConfig, EvaluateConfig, GapsConfig
from vae_cli.datasets import BatchLoader, Data
from vae_cli.datasets.split import SplitName
from vae_cli.distributed import machine
from vae_cli.distributed.cores import Arrival
from vae_cli.distributed.process_group import ProcessLayout, use_threads, world_size
from vae_cli.distributed.rank import is_rank_zero, rank
from vae_cli.distributions.overflow import counted, finite_rows, named
from vae_cli.errors import ConfigError, warn
from vae_cli.evaluation.cluster_assignments import Assignments
from vae_cli.evaluation.disentanglement import FEWEST, disentanglement
from vae_cli.evaluation.estimators import rows_at_once
from vae_cli.evaluation.inference_gaps import check_gaps, inference_gaps
from vae_cli.evaluation.linear_gaussian import linear_gaussian, linear_mixture, posterior_gap
from vae_cli.evaluation.metrics import Means
from vae_cli.evaluation.optional import optional
from vae_cli.models.model import posterior_moments
from vae_cli.runs import results
from vae_cli.runs.atomic_files import room, write_json
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.results import Results
from vae_cli.training.build import build_evaluation
from vae_cli.training.callbacks import EpochProgress, History
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.loggers import quiet_libraries


def check_evaluation(module: LatentModelModule, data: Data, settings: EvaluateConfig) -> None:
    """Refuse a split without data, and gaps of a model that has none."""
    split: SplitName = settings.split
    if not len(getattr(data, split)):
        raise ConfigError(f"evaluate.split={split}: {data.name} has no examples in it; choose dataset.{split}_size > 0")
    if settings.gaps:
        check_gaps(module.model)


def evaluate_split(
    trainer: pl.Trainer,
    module: LatentModelModule,
    data: Data,
    settings: EvaluateConfig,
    prefix: str,
    limit_batches: int | None = None,
) -> Results:
    """The numbers of `evaluate.split`, as prefix/name; beside them the exact ones where they are known.

    Examples whose numbers are not finite are left out of all of them, named and counted. Of data with known factors
    also the scores of disentanglement.
    """
    split: SplitName = settings.split
    check_evaluation(module, data, settings)
    device = trainer.strategy.root_device
    reading: dict[str, Any] = {"seed": settings.seed, "shuffle": False, "limit": limit_batches}
    reading |= {"batch_size": settings.batch_size, "device": device}
    part = {"rank": rank() if world_size() > 1 else 0, "processes": world_size(), "whole": True}
    loader = data.loader(split, **reading, **part)
    module.evaluation.reset()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(settings.seed)
        trainer.test(module, loader, verbose=False)
        module.to(device)  # Lightning has moved it to the CPU
        torch.manual_seed(settings.seed)  # whichever batches this process has had
        computed = module.evaluation.compute()
        if not is_rank_zero():
            return {}
        loader = data.loader(split, **reading)
        _tell(f"{split} split", module.evaluation.left_out)
        with optional("scores of disentanglement"):
            computed |= _disentanglement(module, data, settings, limit_batches)
    numbers: Results = {f"{prefix}/{name}": value for name, value in computed.items()}
    if settings.gaps:
        with optional("inference gaps"):
            numbers |= _gaps(module, loader, settings, settings.gaps)
    with optional("exact answers"):
        numbers |= _exact(module, data, loader)
    return numbers


def _tell(what: str, left_out: Sequence[int]) -> None:
    """Warn of examples whose numbers are not finite."""
    if left_out:
        warn(
            f"{what}: the numbers of {named(left_out)}, counted from 0, are not finite under this model "
            f"({len(left_out)} in all); the means leave them out"
        )


def settings_of(settings: EvaluateConfig) -> Results:
    """The settings of an evaluation as evaluate/name."""
    values = asdict(settings)
    gaps = values.pop("gaps") or {}
    return {f"evaluate/{name}": value for name, value in (values | {f"gaps/{k}": v for k, v in gaps.items()}).items()}


def _gaps(module: LatentModelModule, loader: BatchLoader, settings: EvaluateConfig, gaps: GapsConfig) -> Results:
    """Inference gaps of the first images, each with its standard error."""
    means, left, left_out = Means(), gaps.images, []
    rows = rows_at_once(module.model, module.device, settings.memory_mb)

    def measure(part: Batch, at_once: int) -> tuple[Tensor, dict[str, Tensor]]:
        return part.index, inference_gaps(module.model, part, at_once, gaps)

    with torch.random.fork_rng([module.device] if module.device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        for batch in loader:
            for index, values in rows.map(batch.part(0, left), measure, most=100):
                finite = finite_rows(values.values())
                left_out += index[~finite].tolist()
                means.update({name: value[finite] for name, value in values.items()})
            left -= min(left, len(batch))
            if not left:
                break
    _tell("gaps", left_out)
    numbers: Results = {"gaps/images": int(means.count), **{f"gaps/{k}": v for k, v in counted(left_out).items()}}
    for name, mean in means.compute().items():
        numbers |= {f"gaps/{name}": mean.mean, f"gaps/{name}_se": mean.standard_error}
    return numbers


def _disentanglement(
    module: LatentModelModule, data: Data, settings: EvaluateConfig, limit_batches: int | None
) -> dict[str, float]:
    """Scores of the posterior means of the split against its factors, where these are known and examples enough.

    Of codes there are none, for their vectors have no axes that mean something, nor without an encoder.
    """
    factors = getattr(data, settings.split).factors
    if factors is None or not (module.model.infers and module.model.is_continuous):
        return {}
    order = {"seed": settings.seed, "shuffle": False, "limit": limit_batches}
    loader = data.loader(settings.split, batch_size=settings.batch_size, device=module.device, **order)
    means = posterior_moments(module.model, loader).means
    finite = finite_rows([means])
    if finite.sum() < FEWEST:
        return {}
    means, values = means[finite].numpy(), factors.values[: len(means)][finite].numpy()
    return asdict(disentanglement(means, values, settings.active_threshold, settings.seed))


def _exact(module: LatentModelModule, data: Data, loader: BatchLoader) -> Results:
    """log p(x) under the data's own density, and, for a linear-Gaussian model, under the model's."""
    numbers: Results = {}
    units, density = module.model.likelihood.standardisation, None
    if model := linear_gaussian(module.model):
        density = model.marginal()
        if (gap := posterior_gap(module.model, model)) is not None:
            numbers["exact/posterior_gap"] = gap
    else:
        density = linear_mixture(module.model)
    if data.exact is None and density is None:
        return numbers
    x = torch.cat([batch.x.flatten(1).cpu() for batch in loader]).double()
    kept = torch.ones(len(x), dtype=torch.bool)
    kept[module.evaluation.left_out] = False
    x = x[kept]  # the examples that the model's numbers are of
    values: dict[str, Tensor] = {}
    if data.exact is not None:
        values["log_likelihood"] = data.exact.log_prob(module.model.likelihood.original(x))
    if density is not None:
        values["model_log_likelihood"] = density.log_prob(x) - (units.log_scale if units else 0.0)
    for name, one in values.items():
        numbers[f"exact/{name}"] = float(one.mean())
        spread = one.var(unbiased=False) / (len(one) - 1)  # NaN for a single x
        numbers[f"exact/{name}_se"] = float(spread.sqrt())
    return numbers


def evaluate_run(config: EvalConfig) -> Results:
    """`vae-eval`: numbers of a finished run's checkpoint, written into a file of their own in its folder."""
    quiet_libraries()
    began, arrival = time.perf_counter(), Arrival.now()
    folder = RunFolder(Path(config.run))
    run = load(folder.path, config.ckpt, dataset_path=config.dataset.path, dataset_root=config.dataset.root)
    machine.check(config.trainer.accelerator, config.trainer.precision)
    data = run.data
    check_evaluation(run.module, data, config.evaluate)
    place = room(folder.evaluations)
    gpu = config.trainer.accelerator != "cpu" and torch.cuda.is_available()
    use_threads(ProcessLayout(1, 1), asked=config.trainer.threads, gpu=gpu, arrival=arrival)
    run.module.evaluation = build_evaluation(config.evaluate, run.facts, run.model)
    trainer = pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=1,
        precision=config.trainer.precision,
        callbacks=[EpochProgress(History(None))],
        default_root_dir=folder.path,
        logger=False,
        enable_progress_bar=False,
        inference_mode=False,  # a refinement differentiates
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    numbers: Results = {"status": "done", "checkpoint": str(folder.checkpoint(config.ckpt))}
    split, limit = config.evaluate.split, config.trainer.limit_batches
    numbers |= evaluate_split(trainer, run.module, data, config.evaluate, split, limit) | settings_of(config.evaluate)
    numbers |= {
        "threads": torch.get_num_threads(),
        "data/sha256": run.facts.sha256,
        "wall_seconds": round(time.perf_counter() - began, 3),
    }
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    stem = place / f"{stamp}_{split}_k{config.evaluate.samples}_{os.getpid()}"
    written = [stem.with_name(f"{stem.name}.json")]
    results.print_table(numbers, f"{folder.name}, {config.ckpt} checkpoint")
    write_json(written[0], numbers | results.provenance())
    if run.has_clusters and not limit:
        clusters = stem.with_name(f"{stem.name}_clusters")
        with optional("table of the clusters"):
            written += Assignments.of(run.model, data, run.module.device, config.evaluate.batch_size).write(clusters)
    print("written to " + ", ".join(os.path.relpath(path) for path in written))
    return numbers
