"""Folders of small images."""

from pathlib import Path

import numpy as np
from PIL import Image

from vae_cli.datasets import ImageFolder

RNG = np.random.default_rng(0)


def folder(path, **keys) -> ImageFolder:
    defaults = {
        "batch_size": 4,
        "val_size": 2,
        "val_seed": 0,
        "binarize": "none",
        "test_fraction": 0.25,
        "test_seed": 0,
    }
    images = {"size": 8, "channels": "grey", "memory_gb": 1.0, "workers": 0}
    return ImageFolder(path=str(path), **{**defaults, **images, **keys})


def draw(path, shape=(8, 8)) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def filled(place: Path) -> Path:
    """A folder with twelve images of two labels, and files that are none."""
    for i in range(12):
        draw(place / "ab"[i % 2] / f"{i:02}.png")
    (place / "notes.txt").write_text("no image")
    (place / "a" / "._00.png").write_text("what some systems leave behind")
    return place
