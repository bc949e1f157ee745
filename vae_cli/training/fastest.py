"""The precision of a training and whether it is compiled, chosen by measuring a few steps of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
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


@dataclass(frozen=True)
class Way:
    """A precision of the networks, and whether the step is compiled."""

    precision: str
    compiled: bool

    def __str__(self) -> str:
        return f"{self.precision}{' compiled' * self.compiled}"


def chosen(
    config: TrainConfig, processes: ProcessLayout, data: Data, recorded: Mapping[str, Any]
) -> tuple[TrainConfig, Results]:
    """The configuration with a precision and a decision on compilation; both for the results, with measured speeds.

    Several processes take bf16 where the device has it, and do not compile.

    Args:
        recorded: the choice of an earlier start, if there was one
    """
    trainer, known = config.trainer, recorded if recorded.keys() >= {"precision", "compiled"} else {}
    precisions, compiles = [trainer.precision], trainer.compile
    if trainer.precision == "fastest":
        half = ["bf16-mixed"] * has_bf16("cuda" if on_gpu(trainer) else "cpu")
        precisions = [known["precision"]] if known else ["32-true", *half]
    if compiles is None and known:
        compiles = known["compiled"]
    rates: dict[Way, float] = {}
    if processes.count > 1:
        way = Way(precisions[-1], bool(compiles))
    elif len(precisions) == 1 and compiles is not None:
        way = Way(precisions[0], compiles)
    else:
        with task("measuring the speed of training"):
            rates = measured(precisions, compiles, _examples(config, data), partial(_rate, config, processes, data))
        way = max(rates, key=rates.__getitem__)
    results = {"precision": way.precision, "compiled": way.compiled}
    speeds = {f"measured/{one}": rate for one, rate in rates.items()}
    return _with(config, way), results | (speeds or {n: v for n, v in recorded.items() if n.startswith("measured/")})


def measured(
    precisions: Sequence[str], compiles: bool | None, examples: int, rate: Callable[[Way], float]
) -> dict[Way, float]:
    """Examples a second of each way; the fastest is compiled, too, if that is open and the training is long.

    Args:
        compiles: None if it is open
        examples: of the whole training
        rate: measures a way
    """
    rates = {way: rate(way) for way in (Way(precision, bool(compiles)) for precision in precisions)}
    best = max(rates, key=rates.__getitem__)
    if compiles is None and examples / rates[best] > WORTH_COMPILING:
        compiled = replace(best, compiled=True)
        rates[compiled] = rate(compiled)
    return rates


def _with(config: TrainConfig, way: Way, **settings: Any) -> TrainConfig:
    return replace(config, trainer=replace(config.trainer, precision=way.precision, compile=way.compiled, **settings))


def _examples(config: TrainConfig, data: Data) -> int:
    """Training examples of all epochs of the objective."""
    limit, size = config.trainer.limit_batches, config.dataset.arguments["batch_size"]
    return config.trainer.max_epochs * (len(data.train) if limit is None else min(len(data.train), limit * size))


def _rate(config: TrainConfig, processes: ProcessLayout, data: Data, way: Way) -> float:
    """Training examples a second, in a training of a few batches of the objective alone."""
    alone = replace(config, pretraining=None, initialisation=None, second_stage=None, callbacks={})
    config = _with(alone, way, max_epochs=2, limit_batches=BATCHES, patience=None, checkpoint_every=None)
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        module = build_module(config, DatasetInfo.of(data))
        if way.compiled:
            module.compile_objectives()
        history, trainer = build_trainer(config, processes, RunFolder(Path(folder)), data, module, [])
        fit(config, processes, data, module, trainer)
        return history.rows[-1]["train/samples_per_second"]
