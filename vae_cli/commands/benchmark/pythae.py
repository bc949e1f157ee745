"""The network of the benchmark in pythae, which `make bench` installs."""

# pyright: reportMissingImports=false

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vae_cli.commands.benchmark.loops import BATCH, EVENT, HIDDEN, LATENT, pixels_of
from vae_cli.datasets import Data


def _model() -> Any:
    from pythae.models import LatentVariableModel, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    wide, narrow = HIDDEN

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(784, wide), nn.ReLU(), nn.Linear(wide, narrow), nn.ReLU())
            self.mean, self.log_variance = nn.Linear(narrow, LATENT), nn.Linear(narrow, LATENT)

        def forward(self, x: Tensor) -> ModelOutput:
            h = self.net(x.flatten(1))
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(
                nn.Linear(LATENT, narrow), nn.ReLU(), nn.Linear(narrow, wide), nn.ReLU(), nn.Linear(wide, 784)
            )

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.net(z).sigmoid().unflatten(1, EVENT))

    config = VAEConfig(input_dim=EVENT, latent_dim=LATENT, reconstruction_loss="bce")
    return LatentVariableModel(config, encoder=Encoder(), decoder=Decoder())


def loop(data: Data) -> Callable[[], float]:
    """pythae's BaseTrainer, one epoch of its training step."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.getLogger("pythae").setLevel(logging.ERROR)
    pixels = pixels_of(data.train).float() / 255
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(folder, BATCH, BATCH, num_epochs=1, learning_rate=1e-3, no_cuda=True)
        trainer = BaseTrainer(_model(), BaseDataset(pixels, torch.zeros(len(pixels))), training_config=config)
        trainer.prepare_training()

    def epoch() -> float:
        start = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):
            trainer.train_step(1)
        return len(pixels) / (time.perf_counter() - start)

    return epoch


def likelihood(data: Data) -> Callable[[], float]:
    """Pairs (image, sample) a second of pythae's get_nll."""
    model = _model().eval()
    images, k = 50, 1000
    x = pixels_of(data.test)[:images].float() / 255

    def pairs() -> float:
        start = time.perf_counter()
        with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
            model.get_nll(x, n_samples=k, batch_size=k)
        return images * k / (time.perf_counter() - start)

    return pairs
