"""`make bench`: training and evaluation speed beside a plain loop, Lightning with a DataLoader, and pythae, in one run.

Every program trains one MLP (784-512-512-32, ReLU), batch 128, Adam, MNIST, float32 by default. Programs alternate by
epoch, so that a drift of the machine affects all; medians over the rounds, ratios of medians.
"""

# pyright: reportMissingImports=false
# pythae is installed by `make bench` alone.

from __future__ import annotations

import contextlib
import io
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from vae_cli.commands import benchmark_neighbours
from vae_cli.config.check import check
from vae_cli.config.compose import Composer, session
from vae_cli.config.schema import TrainConfig
from vae_cli.config.sources import Sources
from vae_cli.datasets import Data, Split
from vae_cli.datasets.info import DatasetInfo
from vae_cli.distributed.process_group import ProcessLayout
from vae_cli.evaluation.estimators import iw_log_likelihood, rows_at_once
from vae_cli.runs.folder import RunFolder
from vae_cli.training.build import build_model, build_module
from vae_cli.training.fit import build_trainer, fit
from vae_cli.training.loggers import quiet_libraries

BATCH, LATENT, HIDDEN, EVENT = 128, 32, (512, 512), (1, 28, 28)


def configure(*overrides: str) -> TrainConfig:
    """The default configuration with a csv logger."""
    with session():
        return check(Composer("train", Sources.find()).compose(["logger=none", *overrides]))


class PlainVAE(nn.Module):
    """The network in plain PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        wide, narrow = HIDDEN
        self.encoder = nn.Sequential(
            nn.Linear(784, wide), nn.ReLU(), nn.Linear(wide, narrow), nn.ReLU(), nn.Linear(narrow, 2 * LATENT)
        )
        self.decoder = nn.Sequential(
            nn.Linear(LATENT, narrow), nn.ReLU(), nn.Linear(narrow, wide), nn.ReLU(), nn.Linear(wide, 784)
        )

    def loss(self, x: Tensor) -> Tensor:
        """Negative ELBO, mean over the batch."""
        mu, log_variance = self.encoder(x).chunk(2, -1)
        z = mu + (0.5 * log_variance).exp() * torch.randn_like(mu)
        distortion = binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        rate = 0.5 * (log_variance.exp() + mu.square() - 1 - log_variance).sum()
        return (distortion + rate) / len(x)


def pixels_of(split: Split) -> Tensor:
    """Bytes (N, 1, 28, 28), as they are held in memory."""
    assert isinstance(split.x, Tensor)
    return split.x


def plain_loop(data: Data) -> Callable[[], float]:
    """A hand-written loop: pixels in memory, dynamic binarisation, fused Adam."""
    torch.manual_seed(0)
    pixels = pixels_of(data.train).flatten(1).float() / 255
    model = PlainVAE()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)

    def epoch() -> float:
        start = time.perf_counter()
        for index in torch.randperm(len(pixels)).split(BATCH):
            loss = model.loss(torch.bernoulli(pixels[index]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return len(pixels) / (time.perf_counter() - start)

    return epoch


def runner(data: Data, *overrides: str) -> Callable[[], float]:
    """This runner: its configuration, module, callbacks and Trainer."""
    config = configure("trainer.max_epochs=2", *overrides)
    facts = DatasetInfo.of(data)

    def epoch() -> float:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            module = build_module(config, facts)
            if config.trainer.compile:
                module.phases[-1].objective.compile()
            layout = ProcessLayout.of(config.trainer.devices, config.trainer.num_nodes)
            history, trainer = build_trainer(config, layout, RunFolder(Path(folder)), data, module, [])
            fit(config, layout, data, module, trainer)
        return history.rows[-1]["train/samples_per_second"]

    return epoch


class _LoaderModule(pl.LightningModule):
    """The plain network as a LightningModule, logging its loss by epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.net = PlainVAE()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of a batch."""
        loss = self.net.loss(torch.bernoulli(batch[0].flatten(1)))
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-3)


def lightning_loader(data: Data, workers: int) -> Callable[[], float]:
    """Lightning as its tutorials have it: torchvision's MNIST items, ToTensor, DataLoader."""
    from PIL import Image
    from torchvision.transforms import ToTensor

    to_tensor, pixels = ToTensor(), pixels_of(data.train)

    class Items(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(pixels)

        def __getitem__(self, i: int) -> tuple[Tensor, int]:
            return to_tensor(Image.fromarray(pixels[i, 0].numpy(), mode="L")), 0  # as torchvision's MNIST does

    def epoch() -> float:
        loader = DataLoader(Items(), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
        with contextlib.redirect_stdout(io.StringIO()):
            trainer = pl.Trainer(
                max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                enable_model_summary=False,
            )  # fmt: skip
            start = time.perf_counter()
            trainer.fit(_LoaderModule(), loader)
        return len(pixels) / (time.perf_counter() - start)

    return epoch


def _pythae_model() -> Any:
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


def pythae_loop(data: Data) -> Callable[[], float]:
    """pythae's BaseTrainer, one epoch of its training step."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.getLogger("pythae").setLevel(logging.ERROR)
    pixels = pixels_of(data.train).float() / 255
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(folder, BATCH, BATCH, num_epochs=1, learning_rate=1e-3, no_cuda=True)
        trainer = BaseTrainer(_pythae_model(), BaseDataset(pixels, torch.zeros(len(pixels))), training_config=config)
        trainer.prepare_training()

    def epoch() -> float:
        start = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):
            trainer.train_step(1)
        return len(pixels) / (time.perf_counter() - start)

    return epoch


def runner_likelihood(data: Data, *overrides: str) -> Callable[[], float]:
    """Pairs (image, sample) a second of the importance-weighted log-likelihood, as the evaluation runs it."""
    config = configure(*overrides)
    model = build_model(config, EVENT)
    size, k = config.evaluate.batch_size, 100
    batch = next(iter(data.loader("test", batch_size=size, seed=0, shuffle=False, device=torch.device("cpu"))))
    rows = rows_at_once(model, batch.x.device).count

    def pairs() -> float:
        start = time.perf_counter()
        repeats = 4
        for _ in range(repeats):
            iw_log_likelihood(model, batch, model.encode(batch), k, rows)
        return repeats * k * len(batch) / (time.perf_counter() - start)

    return pairs


def pythae_likelihood(data: Data) -> Callable[[], float]:
    """Pairs (image, sample) a second of pythae's get_nll."""
    model = _pythae_model().eval()
    images, k = 50, 1000
    x = pixels_of(data.test)[:images].float() / 255

    def pairs() -> float:
        start = time.perf_counter()
        with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
            model.get_nll(x, n_samples=k, batch_size=k)
        return images * k / (time.perf_counter() - start)

    return pairs


def measure(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Rates of every contestant in every round, after one round that does not count."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            print(f"  round {turn}/{rounds}: {name:<60}", end="\r", file=sys.stderr, flush=True)
            rate = run()
            if turn:
                rates[name].append(rate)
    return rates


def report(title: str, unit: str, rates: dict[str, list[float]], references: list[str]) -> None:
    """Medians, ranges and ratios."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("")
    for column in (f"{unit} (median)", "range", *(f"x {name}" for name in references)):
        table.add_column(column, justify="right")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        ratios = [f"{medians[name] / medians[reference]:.2f}" for reference in references]
        table.add_row(name, f"{medians[name]:,.0f}", f"{min(values):,.0f} - {max(values):,.0f}", *ratios)
    Console(width=120).print(table)


def main(rounds: int = 5) -> None:
    """Measure everything and print three tables."""
    quiet_libraries()
    warnings.simplefilter("ignore")
    data: Data = configure().dataset.build().load()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {rounds} rounds")
    training = measure(
        {
            "this runner": runner(data),
            "this runner, trainer.compile=true": runner(data, "trainer.compile=true"),
            "plain loop": plain_loop(data),
            "Lightning + DataLoader": lightning_loader(data, 0),
            "Lightning + DataLoader, 2 workers": lightning_loader(data, 2),
            "pythae": pythae_loop(data),
        },
        rounds,
    )
    report("Training", "images/s", training, ["plain loop", "Lightning + DataLoader", "pythae"])
    likelihood = measure(
        {"this runner": runner_likelihood(data), "pythae get_nll": pythae_likelihood(data)},
        rounds,
    )
    report("Importance-weighted log-likelihood", "pairs/s", likelihood, ["pythae get_nll"])
    neighbours = measure(benchmark_neighbours.contestants(), rounds)
    report("Runs side by side", "images/s, all together", neighbours, ["one run", "one run, OpenMP as it is"])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
