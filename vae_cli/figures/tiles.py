"""Grids of images with exact pixels, as an array or a PNG."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vae_cli.runs.atomic_files import write_atomically

SHOWN = 300
"""Smallest width of an image for a screen, pixels."""


def gap(width: int) -> int:
    """Width of the white gap between neighbours; the grid has no border."""
    return max(1, width // 16)


def grid(x: Tensor, columns: int) -> NDArray[np.uint8]:
    """Images x (N, C, H, W) in [0, 1], row by row, as bytes (height, width) in grey or (height, width, 3) in colour.

    Values are clipped and rounded to the nearest of 256 levels; an incomplete last row ends in white.
    Channels that are neither one nor three are averaged to grey.
    """
    x = torch.nan_to_num(x.detach().float().cpu())
    if x.shape[1] not in (1, 3):
        x = x.mean(1, keepdim=True)
    tiles = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    count, height, width, channels = tiles.shape
    columns = min(columns, count)
    space = gap(width)
    down, across = height + space, width + space
    shape = math.ceil(count / columns) * down - space, columns * across - space, channels
    canvas = np.full(shape, 255, np.uint8)
    for k, tile in enumerate(tiles):
        row, column = divmod(k, columns)
        canvas[row * down : row * down + height, column * across : column * across + width] = tile
    return canvas[..., 0] if channels == 1 else canvas


def image(x: Tensor, columns: int) -> Image.Image:
    """`grid` as an image of at least SHOWN pixels across, for a screen."""
    found = Image.fromarray(grid(x, columns))
    return found.resize([size * math.ceil(SHOWN / found.width) for size in found.size], Image.Resampling.NEAREST)


def save_grid(x: Tensor, path: Path, columns: int | None = None) -> None:
    """Write `grid` as a PNG without scaling; the default number of columns makes it about square."""
    image = Image.fromarray(grid(x, columns or math.ceil(math.sqrt(len(x)))))
    write_atomically(path, lambda file: image.save(file, format="PNG"))
