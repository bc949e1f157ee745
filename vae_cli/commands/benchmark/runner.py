"""This runner as programs of the benchmark: an epoch of training, and importance-weighted log-likelihoods."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from pathlib import Path

import torch

from vae_cli.commands.benchmark.contestants import Program
from vae_cli.commands.benchmark.data import configure, load
from vae_cli.commands.benchmark.loops import DEFAULT, DEVICE, wait
from vae_cli.config.schema import TrainConfig
from vae_cli.datasets import Data
from vae_cli.datasets.info import DatasetInfo
from vae_cli.distributed.cores import flush_denormals
from vae_cli.distributed.machine import keep_freed_memory
from vae_cli.distributed.process_group import ProcessLayout
from vae_cli.evaluation.estimators import iw_log_likelihood, rows_at_once
from vae_cli.runs.folder import RunFolder
from vae_cli.training.build import build_model, build_module
from vae_cli.training.fastest import chosen
from vae_cli.training.fit import build_trainer, fit
from vae_cli.training.loggers import quiet_libraries


def prepare() -> None:
    """The settings of a training for its process."""
    quiet_libraries()
    keep_freed_memory()
    flush_denormals()


def fixed(config: TrainConfig, data: Data) -> TrainConfig:
    """The configuration with a precision that is chosen by measuring, where that is asked for."""
    return chosen(config, ProcessLayout.of(config.trainer.devices, config.trainer.num_nodes), data, {})[0]


def training_epoch(*overrides: str) -> Program:
    """Images a second of an epoch: configuration, module, callbacks and Trainer of this runner."""
    config = configure("trainer.max_epochs=2", *overrides)
    data: Data = config.dataset.build().load()
    config = fixed(config, data)
    facts = DatasetInfo.of(data)

    def epoch() -> float:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            module = build_module(config, facts)
            if config.trainer.compile:
                module.compile_objectives()
            layout = ProcessLayout.of(config.trainer.devices, config.trainer.num_nodes)
            history, trainer = build_trainer(config, layout, RunFolder(Path(folder)), data, module, [])
            fit(config, layout, data, module, trainer)
        return history.rows[-1]["train/samples_per_second"]

    return epoch


def likelihood(*overrides: str) -> Program:
    """Pairs (image, sample) a second of the importance-weighted log-likelihood, as the evaluation runs it."""
    data = load()
    config = fixed(configure(*overrides), data)
    model, half = build_model(config, DEFAULT.event).to(DEVICE), config.trainer.precision == "bf16-mixed"
    size, k = config.evaluate.batch_size, 100
    batch = next(iter(data.loader("test", batch_size=size, seed=0, shuffle=False, device=DEVICE)))
    rows = rows_at_once(model, batch.x.device).count

    def pairs() -> float:
        start = time.perf_counter()
        repeats = 4
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=half):
            for _ in range(repeats):
                iw_log_likelihood(model, batch, model.encode(batch), k, rows)
        wait()
        return repeats * k * len(batch) / (time.perf_counter() - start)

    return pairs
