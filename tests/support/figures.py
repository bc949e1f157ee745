"""Data in memory and a model known in closed form, for drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits, load_wine
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vae_cli.batch import Batch
from vae_cli.figures import drawing
from vae_cli.figures.examples import Inputs

CPU = torch.device("cpu")
VIEWS = {"reconstructions", "samples", "traversals", "latent_space"}


@dataclass
class Table:
    """Data in memory, as a run holds them."""

    x: Tensor
    y: Tensor | None
    domain: str
    exact: object = None
    class_names: tuple[str, ...] | None = None
    standardisation: None = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    @property
    def val(self) -> Tensor:
        return self.x

    def loader(self, split: str, *, batch_size: int, seed: int, shuffle: bool, device: torch.device) -> Iterator[Batch]:
        assert split in ("val", "test")
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.x), generator=generator) if shuffle else torch.arange(len(self.x))
        for index in order.split(batch_size):
            yield Batch(self.x[index], index, None if self.y is None else self.y[index]).to(device)


class Affine(nn.Module):
    """The principal components of the data as a VAE: linear encoder and decoder, known in closed form."""

    infers = True
    is_continuous = True
    posterior = SimpleNamespace(provides=("inference", "density", "continuous"))
    likelihood = SimpleNamespace(standardisation=None, original=lambda x: x)

    def __init__(self, data: Table, latent_dim: int) -> None:
        super().__init__()
        x = data.x.flatten(1)
        self.event_shape = data.event_shape
        self.register_buffer("centre", x.mean(0))
        _, scale, axes = torch.linalg.svd(x - x.mean(0), full_matrices=False)
        rank = min(latent_dim, len(scale))
        weight = torch.zeros(latent_dim, x.shape[1])
        weight[:rank] = axes[:rank] * scale[:rank, None] / len(x) ** 0.5
        self.register_buffer("weight", weight)
        self.read = list(range(latent_dim))
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(latent_dim)
        self.norm.eval()

    def encode(self, batch: Batch) -> Distribution:
        inverse = torch.linalg.pinv(self.weight)
        loc = (batch.x.flatten(1) - self.centre) @ inverse
        return Independent(Normal(self.dropout(loc), 0.1), 1)

    def prior(self) -> Distribution:
        return Independent(Normal(torch.zeros(len(self.weight)), 1.0), 1)

    def decode(self, z: Tensor) -> Distribution:
        mean = self.centre + z @ self.weight
        return Independent(Normal(mean.unflatten(-1, self.event_shape), 0.1), len(self.event_shape))

    def sample(self, n: int) -> Tensor:
        return self.decode(self.prior().sample((1, n))).mean[0]


def digits(channels: int = 1, labels: bool = True) -> Table:
    x, y = load_digits(return_X_y=True)
    image = torch.tensor(x, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    tint = torch.tensor([1.0, 0.6, 0.3])[:channels].view(-1, 1, 1)
    return Table(image * tint, torch.tensor(y) if labels else None, "unit")


def wine(columns: int = 13, exact: object = None) -> Table:
    x, y = load_wine(return_X_y=True)
    return Table(torch.tensor(x[:, :columns], dtype=torch.float32), torch.tensor(y), "real", exact)


def history(epochs: int) -> list[dict[str, float]]:
    rows = []
    for epoch in range(epochs):
        fall = 400 * 0.5**epoch
        rows.append({"epoch": epoch, "step": 10 * epoch, "train/elbo": -100 - fall, "train/distortion": 80 + fall})
        rows.append({"epoch": epoch, "val/elbo": -102 - fall, "val/distortion": 81 + fall, "val/rate": float("nan")})
    return rows


def draw(model: nn.Module, data: Table, rows: list[dict[str, float]], seed: int = 0) -> dict[str, Figure]:
    return drawing.draw(model, data, CPU, history=rows, seed=seed)


def inputs(rows: Sequence[dict[str, float]]) -> Inputs:
    return Inputs(Affine(digits(), 2), None, rows, 0)
