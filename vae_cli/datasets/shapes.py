"""Generated pictures of one coloured shape each, whose factors of variation are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_cli.datasets.dataset import BinarizedDataset, Source
from vae_cli.datasets.split import Factors, Split
from vae_cli.types import Domain, EventKind, PositiveInt, Seed

Coordinates = NDArray[np.floating]

SIDE = 32  # pixels of an image
REACH = 8  # circumradius of the largest shape in pixels: any position keeps it in the image
SUBPIXELS = 16  # points per pixel and axis, for smooth edges

# Masks of the points in a shape of circumradius 1 with its centre of mass at the origin. No shape equals itself after
# a rotation by less than 90 degrees, which is the range of the rotations.
INSIDE: tuple[Callable[[Coordinates, Coordinates], NDArray[np.bool_]], ...] = (
    lambda x, y: np.maximum(abs(x), abs(y)) <= np.sqrt(0.5),  # square
    lambda x, y: x**2 + (y / 0.5) ** 2 <= 1,  # ellipse
    lambda x, y: np.maximum(np.sqrt(3) * abs(x) - y, 2 * y) <= 1,  # triangle, one corner up
)
COLOURS = np.array(  # red, yellow, green, cyan, blue, magenta
    [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]], np.uint8
)
RADII = np.linspace(0.5, 1, 6) * REACH
ANGLES = np.arange(8) * np.pi / 16
POSITIONS = SIDE - 2 * REACH  # of the centre, in whole pixels, along either axis

NAMES = ("shape", "colour", "scale", "rotation", "position_x", "position_y")
SIZES = (len(INSIDE), len(COLOURS), len(RADII), len(ANGLES), POSITIONS, POSITIONS)


def stencils() -> NDArray[np.uint8]:
    """Coverage of the pixels around the centre by each shape, in 0..255: (shapes, scales, rotations, P, P).

    P = 2 REACH + 1; the centre is that of the middle pixel.
    """
    pixels = 2 * REACH + 1
    points = (np.arange(pixels * SUBPIXELS) + 0.5) / SUBPIXELS - pixels / 2
    down, across = np.meshgrid(points, points, indexing="ij")
    cos, sin = np.cos(ANGLES)[:, None, None], np.sin(ANGLES)[:, None, None]
    x, y = cos * across + sin * down, cos * down - sin * across
    radii = RADII[:, None, None, None] * (1 + 1e-9)  # tolerance: a point on an edge is inside on every machine
    covered = np.stack([inside(x / radii, y / radii) for inside in INSIDE])
    blocks = covered.reshape(*covered.shape[:3], pixels, SUBPIXELS, pixels, SUBPIXELS)
    return np.rint(255 * blocks.mean((4, 6))).astype(np.uint8)


def render(values: Tensor) -> Tensor:
    """Images (N, 3, SIDE, SIDE) uint8 of factors (N, 6): the shape in its colour on black.

    Its centre is at pixel (REACH + position_y, REACH + position_x); rotations are clockwise.
    """
    shape, colour, scale, rotation, x, y = values.numpy().T
    margin = POSITIONS - 1
    padded = np.pad(stencils(), [(0, 0)] * 3 + [(margin, margin)] * 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), axis=(3, 4))
    masks = windows[shape, scale, rotation, margin - y, margin - x]
    return torch.from_numpy(masks[:, None] * COLOURS[colour, :, None, None])


@dataclass(frozen=True, kw_only=True)
class Shapes(BinarizedDataset):
    """A square, an ellipse or a triangle in a colour, size, orientation and place: 3 x 32 x 32, labelled by shape.

    The six factors are independent and uniform. Channels are 0 or 255 except at the edges of the shape.

    Args:
        train_size: training images, before validation images are held out
        test_size: test images
        data_seed: seed of the factors
    """

    train_size: PositiveInt
    test_size: PositiveInt
    data_seed: Seed

    name: ClassVar[str] = "shapes"
    domain: ClassVar[Domain] = "levels"
    layout: ClassVar[EventKind] = "image"

    def read(self) -> Source:
        """Draw all factors, then render."""
        generator = torch.Generator().manual_seed(self.data_seed)
        total = self.train_size + self.test_size
        values = torch.stack([torch.randint(size, (total,), generator=generator) for size in SIZES], 1)
        images, factors = render(values), Factors(NAMES, SIZES, values)
        train, test = (
            Split(images[part], values[part, 0], factors=factors.select(part))
            for part in (slice(None, self.train_size), slice(self.train_size, None))
        )
        return Source(self.domain, train, test)
