"""Grids of images: exact pixels."""

import numpy as np
import torch
from PIL import Image

from vae_cli.figures import tiles


def test_grid_is_exact_to_the_pixel():
    x = torch.tensor([[[[0.0, 1.0], [0.5, 2.0]]], [[[0.25, 0.1], [-1.0, torch.nan]]], [[[1.0, 1.0], [0.0, 0.0]]]])
    expected = [
        [0, 255, 255, 64, 26],
        [128, 255, 255, 0, 0],
        [255, 255, 255, 255, 255],
        [255, 255, 255, 255, 255],
        [0, 0, 255, 255, 255],
    ]
    assert tiles.grid(x, 2).tolist() == expected
    assert tiles.grid(x, 2).dtype == np.uint8


def test_grid_in_colour_and_a_gap_that_grows_with_the_image(tmp_path):
    x = torch.rand(4, 3, 20, 32)
    canvas = tiles.grid(x, 3)
    assert canvas.shape == (20 + 2 + 20, 32 + 2 + 32 + 2 + 32, 3)
    assert np.array_equal(canvas[22:, :32], (255 * x[3]).round().byte().permute(1, 2, 0).numpy())
    assert (canvas[:, 32:34] == 255).all()
    assert (canvas[20:, 34:] == 255).all()
    tiles.save_grid(x, tmp_path / "x.png", 3)
    with Image.open(tmp_path / "x.png") as image:
        assert np.array_equal(np.asarray(image), canvas)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_a_square_grid_unless_told_otherwise(tmp_path):
    tiles.save_grid(torch.zeros(7, 1, 8, 8), tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert (image.mode, image.size) == ("L", (26, 26))
