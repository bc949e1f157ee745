"""Random flips and crops of training images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vae_cli.distributed.shard import draw_shard


@dataclass(frozen=True)
class Augmentation:
    """Changes of images (B, C, H, W) that are drawn anew at each visit.

    Args:
        flip: mirror half of the images, left to right
        crop: largest shift in pixels, up or down and to either side; the border is mirrored
    """

    flip: bool
    crop: int

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Changed images of the type of x."""

        def uniform(shape: torch.Size) -> Tensor:
            return torch.rand(shape, generator=generator, device=x.device)

        draws = draw_shard(uniform, torch.Size((len(x), 3)), 0)
        if self.flip:
            x = torch.where(draws[:, 0, None, None, None] < 0.5, x.flip(-1), x)
        for dim, draw in ((2, draws[:, 1]), (3, draws[:, 2])):
            if self.crop:
                shift = (draw * (2 * self.crop + 1)).long() - self.crop
                last = x.shape[dim] - 1
                moved = torch.arange(last + 1, device=x.device) + shift[:, None]
                source = (last - (last - moved.abs()).abs()).clamp(0, last)  # mirrored at both borders
                index = source.view(len(x), 1, *((-1, 1) if dim == 2 else (1, -1)))
                x = x.gather(dim, index.expand(x.shape))
        return x
