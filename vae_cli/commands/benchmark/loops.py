"""The network of the benchmark in plain PyTorch: a hand-written loop, and Lightning with a DataLoader."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from vae_cli.commands.benchmark.contestants import Program
from vae_cli.commands.benchmark.data import load
from vae_cli.datasets import Split
from vae_cli.datasets.noise import bernoulli

BATCH = 128
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Task:
    """An MLP with ReLU and its data: shape of x, widths of the hidden layers of the encoder, dimensions of z."""

    event: tuple[int, ...]
    hidden: tuple[int, ...]
    latent: int
    dataset: tuple[str, ...] = ()

    @property
    def overrides(self) -> tuple[str, ...]:
        """The task as keys of this runner."""
        network = f"network.hidden=[{','.join(map(str, self.hidden))}]", f"model.latent_dim={self.latent}"
        return *self.dataset, f"dataset.batch_size={BATCH}", *network


DEFAULT = Task((1, 28, 28), (512, 512), 32)
SMALL = Task((1, 28, 28), (64,), 8)
DIGITS = Task((1, 8, 8), (64,), 8, ("dataset=digits",))


def hidden_layers(widths: Sequence[int]) -> list[nn.Module]:
    """Linear layers from width to width, each with a ReLU."""
    return [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]


class PlainVAE(nn.Module):
    """Networks and a loss in plain PyTorch.

    Args:
        encoder: from x to means and log-variances of z
        decoder: from z to the outputs of `distortion`
        distortion: -log p(x|z) of outputs and x, summed
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, distortion: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.encoder, self.decoder, self.distortion = encoder, decoder, distortion

    @classmethod
    def of(cls, task: Task) -> PlainVAE:
        """An MLP for binary x."""
        ends = [prod(task.event), *task.hidden]
        encoder = nn.Sequential(*hidden_layers(ends), nn.Linear(ends[-1], 2 * task.latent))
        decoder = nn.Sequential(*hidden_layers([task.latent, *ends[:0:-1]]), nn.Linear(ends[1], ends[0]))
        return cls(encoder, decoder, partial(binary_cross_entropy_with_logits, reduction="sum"))

    def loss(self, x: Tensor) -> Tensor:
        """Negative ELBO, mean over the batch."""
        mu, log_variance = self.encoder(x).chunk(2, -1)
        z = mu + (0.5 * log_variance).exp() * torch.randn_like(mu)
        rate = 0.5 * (log_variance.exp() + mu.square() - 1 - log_variance).sum()
        return (self.distortion(self.decoder(z), x) + rate) / len(x)


def pixels_of(split: Split) -> Tensor:
    """Bytes (N, 1, H, W) on the CPU."""
    x = split.x
    assert isinstance(x, Tensor)
    return (x if x.dtype == torch.uint8 else (255 * x).round().to(torch.uint8)).cpu()


def wait() -> None:
    """Wait for the device, before a clock is read."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def torch_bernoulli(pixels: Tensor) -> Callable[[Tensor], Tensor]:
    """Binary images at an index, as a loop usually draws them."""
    probabilities = pixels.float() / 255
    return lambda index: torch.bernoulli(probabilities[index])


def bytes_below_noise(pixels: Tensor) -> Callable[[Tensor], Tensor]:
    """Binary images at an index, as this runner draws them."""
    generator = torch.Generator(DEVICE)
    return lambda index: bernoulli(pixels[index], generator)


def plain_loop(task: Task, drawn: Callable[[Tensor], Callable[[Tensor], Tensor]] = torch_bernoulli) -> Program:
    """A hand-written loop with dynamic binarisation."""
    torch.manual_seed(0)
    pixels = pixels_of(load(*task.dataset).train).flatten(1).to(DEVICE)
    return loop(pixels, PlainVAE.of(task), drawn(pixels))


def loop(pixels: Tensor, model: PlainVAE, draw: Callable[[Tensor], Tensor]) -> Program:
    """A hand-written loop: pixels in memory, on a GPU in its own, fused Adam.

    Args:
        draw: x at an index
    """
    model.to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)

    def epoch() -> float:
        start = time.perf_counter()
        for index in torch.randperm(len(pixels), device=DEVICE).split(BATCH):
            loss = model.loss(draw(index))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        wait()
        return len(pixels) / (time.perf_counter() - start)

    return epoch


class _LoaderModule(pl.LightningModule):
    """The plain network as a LightningModule, logging its loss by epoch."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.net = PlainVAE.of(task)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of a batch."""
        loss = self.net.loss(torch.bernoulli(batch[0].flatten(1)))
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-3)


def lightning_loader(task: Task, workers: int) -> Program:
    """Lightning as its tutorials have it: torchvision's MNIST items, ToTensor, DataLoader."""
    from PIL import Image
    from torchvision.transforms import ToTensor

    to_tensor, pixels = ToTensor(), pixels_of(load(*task.dataset).train)

    class Items(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(pixels)

        def __getitem__(self, i: int) -> tuple[Tensor, int]:
            return to_tensor(Image.fromarray(pixels[i, 0].numpy(), mode="L")), 0  # as torchvision's MNIST does

    def epoch() -> float:
        loader = DataLoader(Items(), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
        with contextlib.redirect_stdout(io.StringIO()):
            trainer = pl.Trainer(
                max_epochs=1, accelerator=DEVICE.type, logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False,
            )  # fmt: skip
            start = time.perf_counter()
            trainer.fit(_LoaderModule(task), loader)
        return len(pixels) / (time.perf_counter() - start)

    return epoch
