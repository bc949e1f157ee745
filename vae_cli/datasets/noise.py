"""Seeded Bernoulli noise: binary images from grey ones, independent of the global random state."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from vae_cli.distributed.shard import draw_shard

BLOCK = 4096  # images drawn at a time, which bounds the memory of the noise


def seed_of(*parts: object) -> int:
    """A 64-bit seed that differs wherever one of the parts differs."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest(), "little")


def seeds_of_rows(x: Tensor, seed: int) -> list[int]:
    """A seed for each example of x (N, *event), which depends on its values and on `seed` alone."""
    rows = x.detach().cpu().flatten(1).contiguous().numpy()
    key = seed.to_bytes(8, "little")
    digests = (blake2b(row.tobytes(), digest_size=8, key=key).digest() for row in rows)
    return [int.from_bytes(digest, "little") >> 1 for digest in digests]


def uniform_bytes(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Uniform on 0..254, uint8, so that P(noise < k) = k/255 exactly."""
    if generator.device.type != "cpu":
        return torch.randint(0, 255, shape, dtype=torch.uint8, device=generator.device, generator=generator)
    # Eight bytes from each 64-bit draw, and the few 255s drawn again: a quarter of the time of randint on a CPU.
    words = torch.empty(-(-shape.numel() // 8), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    noise = words.view(torch.uint8)[: shape.numel()]
    bytes_ = noise.numpy()
    spoilt = np.flatnonzero(bytes_ == 255)
    bytes_[spoilt] = torch.randint(0, 255, spoilt.shape, dtype=torch.uint8, generator=generator).numpy()
    return noise.view(shape)


def bernoulli(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw 1 with probability k/255 (uint8 x = k) or x (float x in [0, 1]); float32, the shape of x."""

    def uniform(shape: torch.Size) -> Tensor:
        if x.dtype == torch.uint8:
            return uniform_bytes(shape, generator)
        return torch.rand(shape, generator=generator, device=x.device)

    noise = draw_shard(uniform, x.shape, 0)
    return torch.lt(noise, x, out=torch.empty(x.shape, device=x.device))


def fixed_bernoulli(x: Tensor, seed: int) -> Tensor:
    """One seeded draw of a whole array, as bytes 0 and 255."""
    generator = torch.Generator().manual_seed(seed)
    draw_shard = [bernoulli(block, generator).to(torch.uint8).mul_(255) for block in x.split(BLOCK)]
    return torch.cat(draw_shard) if draw_shard else x.to(torch.uint8)


def threshold(x: Tensor) -> Tensor:
    """1 where x > 1/2, as bytes 0 and 255."""
    return (x > (127 if x.dtype == torch.uint8 else 0.5)).to(torch.uint8).mul_(255)
