"""The network of the benchmark in pythae, which `make bench` installs."""

# pyright: reportMissingImports=false

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from vae_cli.commands.benchmark.contestants import Program
from vae_cli.commands.benchmark.data import load
from vae_cli.commands.benchmark.loops import BATCH, DEFAULT, DEVICE, Task, hidden_layers, pixels_of, wait


def _model(task: Task) -> Any:
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    ends = [prod(task.event), *task.hidden]

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(*hidden_layers(ends))
            self.mean, self.log_variance = (nn.Linear(ends[-1], task.latent) for _ in range(2))

        def forward(self, x: Tensor) -> ModelOutput:
            h = self.net(x.flatten(1))
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(*hidden_layers([task.latent, *ends[:0:-1]]), nn.Linear(ends[1], ends[0]))

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.net(z).sigmoid().unflatten(1, task.event))

    config = VAEConfig(input_dim=task.event, latent_dim=task.latent, reconstruction_loss="bce")
    return VAE(config, encoder=Encoder(), decoder=Decoder())


def loop(task: Task) -> Program:
    """pythae's BaseTrainer, one epoch of its training step."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.getLogger("pythae").setLevel(logging.ERROR)
    pixels = pixels_of(load(*task.dataset).train).float() / 255
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(folder, BATCH, BATCH, num_epochs=1, learning_rate=1e-3, no_cuda=DEVICE.type == "cpu")
        trainer = BaseTrainer(_model(task), BaseDataset(pixels, torch.zeros(len(pixels))), training_config=config)
        trainer.prepare_training()

    def epoch() -> float:
        start = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):
            trainer.train_step(1)
        wait()
        return len(pixels) / (time.perf_counter() - start)

    return epoch


def likelihood() -> Program:
    """Pairs (image, sample) a second of pythae's get_nll."""
    model = _model(DEFAULT).eval().to(DEVICE)
    images, k = 50, 1000
    x = pixels_of(load().test)[:images].to(DEVICE).float() / 255

    def pairs() -> float:
        start = time.perf_counter()
        with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
            model.get_nll(x, n_samples=k, batch_size=k)
        wait()
        return images * k / (time.perf_counter() - start)

    return pairs
