"""The convolutional networks of this runner in a plain loop; autograd differentiates the discretised logistic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from vae_cli.commands.benchmark.contestants import Program
from vae_cli.commands.benchmark.data import configure, load
from vae_cli.commands.benchmark.loops import BATCH, DEVICE, PlainVAE, loop, pixels_of
from vae_cli.distributions.discretised_logistic import HALF
from vae_cli.training.build import build_model

EVENT = 3, 64, 64
COUNT = 2944


def image_file(folder: Path) -> Path:
    """A file of random images (N, 3, 64, 64) of bytes."""
    path = folder / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (COUNT, *EVENT), dtype=np.uint8))
    return path


def overrides(folder: Path) -> list[str]:
    """The convolutional default on a file of images, as keys of this runner."""
    keys = ["dataset=array", f"dataset.path={image_file(folder)}", "dataset.domain=levels", "dataset.val_size=128"]
    return [*keys, f"dataset.batch_size={BATCH}", "model=conv_vae", "likelihood=discretised_logistic"]


def distortion(outputs: Tensor, x: Tensor) -> Tensor:
    """-log P(x) of a discretised logistic, summed; the difference is at least 1e-12 (Salimans et al. 2017)."""
    loc, log_scale = outputs.unbind(1)
    distance, inverse_scale = x - loc - 0.5, (2 - log_scale).exp()
    above, below = inverse_scale * (distance + HALF), inverse_scale * (distance - HALF)
    inner = (above.sigmoid() - below.sigmoid()).clamp(min=1e-12).log()
    return -torch.where(x < HALF, logsigmoid(above), torch.where(x > 1 - HALF, -softplus(below), inner)).sum()


def plain_loop(*overrides: str) -> Program:
    """The networks of a configuration in a plain loop."""
    torch.manual_seed(0)
    model, pixels = build_model(configure(*overrides), EVENT), pixels_of(load(*overrides).train).to(DEVICE)
    plain = PlainVAE(model.posterior.get_submodule("encoder"), model.likelihood.decoder, distortion)
    return loop(pixels, plain, lambda index: pixels[index].float() / 255)
