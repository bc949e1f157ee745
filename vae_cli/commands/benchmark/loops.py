"""The network of the benchmark in plain PyTorch: a hand-written loop, and Lightning with a DataLoader."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from vae_cli.datasets import Data, Split

BATCH, LATENT, HIDDEN, EVENT = 128, 32, (512, 512), (1, 28, 28)


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
