"""Corruptions of the input of an encoder; the decoder reconstructs the clean x."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from vae_cli.distributed.shard import draw_shard
from vae_cli.distributions.precision import float32


def masked(x: Tensor, fraction: float) -> Tensor:
    """x with each entry set to 0 with probability `fraction` (Vincent et al. 2010, section 3.3)."""
    return x * (draw_shard(lambda shape: torch.rand(shape, device=x.device), x.shape, 0) >= fraction) if fraction else x


def jittered(x: Tensor, amount: float) -> Tensor:
    """Images x (B, C, H, W), each shifted, rotated, sheared and scaled at random; vectors stay as they are.

    At amount = 1 shifts are up to a seventh of the image either way, angles up to 15 degrees, sizes up to 15 %.
    Each pixel has the value of its nearest neighbour, so that no new value appears.
    """
    if not amount or x.dim() != 4:
        return x
    unit = 2 * draw_shard(lambda shape: torch.rand(shape, device=x.device), (6, len(x)), 1) - 1
    angle, shear = amount * math.radians(15) * unit[0], amount * math.radians(15) * unit[1]
    wide, high = 1 + 0.15 * amount * unit[2], 1 + 0.15 * amount * unit[3]
    shift = amount * 2 / 7 * unit[4:]  # a coordinate runs from -1 to 1
    rows = [wide * angle.cos(), shear - angle.sin(), shift[0], angle.sin(), high * angle.cos(), shift[1]]
    with float32():  # in bfloat16 coordinates would be off by pixels
        grid = affine_grid(torch.stack(rows, -1).unflatten(-1, (2, 3)), list(x.shape), align_corners=False)
        return grid_sample(x, grid, mode="nearest", align_corners=False)
