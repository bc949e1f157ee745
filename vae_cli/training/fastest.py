"""The precision of a training and whether it is compiled, chosen by measuring a few steps of each."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vae_cli.config.schema import TrainConfig
from vae_cli.datasets import Data
from vae_cli.datasets.info import DatasetInfo
from vae_cli.distributed.process_group import ProcessLayout
from vae_cli.distributed.progress import task
from vae_cli.distributions.precision import has_bf16
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.results import Results
from vae_cli.training.build import build_module
from vae_cli.training.fit import build_trainer, fit, on_gpu

BATCHES = 32
"""Batches of a measured epoch; the second epoch counts."""
WORTH_COMPILING = 600.0
"""Seconds of a training that may gain more than the minute that its compilation takes."""


def chosen(
    config: TrainConfig, processes: ProcessLayout, data: Data, recorded: Mapping[str, Any]
) -> tuple[TrainConfig, Results]:
    """The configuration with a precision and a decision on compilation; both for the results, with measured speeds.

    Several processes take bf16 where the device has it, and do not compile.

    Args:
        recorded: the choice of an earlier start, if there was one
    """
    trainer, rates = config.trainer, dict[str, float]()
    precision, compiles = trainer.precision, trainer.compile
    if recorded.keys() >= {"precision", "compiled"}:
        precision = recorded["precision"] if precision == "fastest" else precision
        compiles = recorded["compiled"] if compiles is None else compiles
    device = "cuda" if on_gpu(trainer) else "cpu"
    ways = ["32-true", *["bf16-mixed"] * has_bf16(device)] if precision == "fastest" else [precision]
    if processes.count > 1:
        ways, compiles = ways[-1:], bool(compiles)
    if len(ways) > 1 or compiles is None:
        with task("measuring the speed of training"):
            rates = {way: _rate(config, way, bool(compiles), processes, data) for way in ways}
            best = max(ways, key=rates.__getitem__)
            if compiles is None:
                compiles = False
                if _examples(config, data) / rates[best] > WORTH_COMPILING:
                    rates[f"{best} compiled"] = _rate(config, best, True, processes, data)
                    compiles = rates[f"{best} compiled"] > rates[best]
        ways = [best]
    results = {"precision": ways[0], "compiled": compiles, **{f"measured/{way}": rate for way, rate in rates.items()}}
    return _with(config, precision=ways[0], compile=compiles), results


def _with(config: TrainConfig, **settings: Any) -> TrainConfig:
    return replace(config, trainer=replace(config.trainer, **settings))


def _examples(config: TrainConfig, data: Data) -> int:
    """Training examples of all epochs of the objective."""
    limit, size = config.trainer.limit_batches, config.dataset.arguments["batch_size"]
    return config.trainer.max_epochs * (len(data.train) if limit is None else min(len(data.train), limit * size))


def _rate(config: TrainConfig, precision: str, compiles: bool, processes: ProcessLayout, data: Data) -> float:
    """Training examples a second, in a training of a few batches of the objective alone."""
    short = {"max_epochs": 2, "limit_batches": BATCHES, "patience": None, "checkpoint_every": None}
    alone = replace(config, pretraining=None, initialisation=None, second_stage=None, callbacks={})
    config = _with(alone, precision=precision, compile=compiles, **short)
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        module = build_module(config, DatasetInfo.of(data))
        if compiles:
            module.compile_objectives()
        history, trainer = build_trainer(config, processes, RunFolder(Path(folder)), data, module, [])
        fit(config, processes, data, module, trainer)
        return history.rows[-1]["train/samples_per_second"]
