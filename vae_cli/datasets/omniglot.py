"""Omniglot: 1,623 handwritten characters of fifty alphabets, twenty drawings each."""

from __future__ import annotations

import zipfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vae_cli.datasets.dataset import BinarizedDataset, Source
from vae_cli.datasets.files import data_root, locked, obtain
from vae_cli.datasets.split import Split
from vae_cli.types import Domain, EventKind, PositiveInt


def read_characters(archive: Path, size: int) -> tuple[Tensor, Tensor]:
    """x (N, 1, size, size) uint8, strokes light on dark, and y (N,), in the order of the names of alphabets and files.

    The archive holds FOLDER/ALPHABET/CHARACTER/DRAWING.png; y numbers the characters.
    """
    from PIL import Image

    with zipfile.ZipFile(archive) as files:
        names = sorted(name for name in files.namelist() if name.endswith(".png"))
        images = []
        for name in names:
            with files.open(name) as file, Image.open(file) as image:
                images.append(255 - np.array(image.convert("L").resize((size, size), Image.Resampling.BILINEAR)))
    characters = [name.rpartition("/")[0] for name in names]
    labels = np.unique(characters, return_inverse=True)[1]
    return torch.from_numpy(np.stack(images)).unsqueeze(1), torch.from_numpy(labels).long()


@dataclass(frozen=True, kw_only=True)
class Omniglot(BinarizedDataset):
    """Omniglot (Lake et al. 2015): background set (19,280 drawings) for training, evaluation set (13,180) for testing.

    Args:
        root: folder of data files; null: $VAE_DATA_DIR, else the user's cache
        size: height and width in pixels; images are scaled from 105 x 105
    """

    root: str | None
    size: PositiveInt

    name: ClassVar[str] = "omniglot"
    domain: ClassVar[Domain] = "levels"
    layout: ClassVar[EventKind] = "image"

    def read(self) -> Source:
        """Both sets; the labels of the second follow those of the first."""
        from torchvision.datasets import Omniglot

        folder = data_root(self.root) / Omniglot.folder
        archives = {folder / f"{name}.zip": md5 for name, md5 in Omniglot.zips_md5.items()}
        missing = not all(path.is_file() for path in archives)
        with locked(folder) if missing else nullcontext():
            for path, md5 in archives.items():
                obtain(path, [f"{Omniglot.download_url_prefix}/{path.name}"], md5)
        (x, y), (x_test, y_test) = (read_characters(path, self.size) for path in archives)
        return Source(self.domain, Split(x, y), Split(x_test, y_test + y.max() + 1))
