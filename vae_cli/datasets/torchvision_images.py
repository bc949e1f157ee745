"""Colour photographs through torchvision: CIFAR-10 and SVHN."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from vae_cli.datasets.dataset import BinarizedDataset, Source
from vae_cli.datasets.files import data_root, locked, obtain
from vae_cli.datasets.split import Split
from vae_cli.types import Domain, EventKind


@dataclass(frozen=True, kw_only=True)
class CIFAR10(BinarizedDataset):
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 photographs of ten classes, 3 x 32 x 32.

    Args:
        root: folder of data files; null: $VAE_DATA_DIR, else the user's cache
    """

    root: str | None

    name: ClassVar[str] = "cifar10"
    domain: ClassVar[Domain] = "levels"
    layout: ClassVar[EventKind] = "image"

    def read(self) -> Source:
        """The canonical splits, from the extracted batches or from the archive, which is fetched if it is missing."""
        from torchvision.datasets import CIFAR10

        folder = data_root(self.root)
        try:
            return self._splits(folder)
        except RuntimeError:  # torchvision: not found or corrupted
            with locked(folder):
                obtain(folder / CIFAR10.filename, [CIFAR10.url], CIFAR10.tgz_md5)
                return self._splits(folder, download=True)  # extracts the archive that lies there

    def _splits(self, folder: Path, download: bool = False) -> Source:
        from torchvision.datasets import CIFAR10

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # recent numpy warns of the dtype pickles of older ones
            parts = [CIFAR10(folder, train=train, download=download) for train in (True, False)]
        train, test = (
            Split(torch.from_numpy(part.data.transpose(0, 3, 1, 2).copy()), torch.tensor(part.targets))
            for part in parts
        )
        return Source(self.domain, train, test)


@dataclass(frozen=True, kw_only=True)
class SVHN(BinarizedDataset):
    """SVHN (Netzer et al. 2011): 73,257 and 26,032 images of house numbers, 3 x 32 x 32.

    Args:
        root: folder of data files; null: $VAE_DATA_DIR, else the user's cache
    """

    root: str | None

    name: ClassVar[str] = "svhn"
    domain: ClassVar[Domain] = "levels"
    layout: ClassVar[EventKind] = "image"

    def read(self) -> Source:
        from torchvision.datasets import SVHN

        folder = data_root(self.root)
        wanted = [SVHN.split_list[split] for split in ("train", "test")]
        try:
            parts = [SVHN(folder, split) for split in ("train", "test")]
        except RuntimeError:  # torchvision: not found or corrupted
            with locked(folder):
                for url, file, digest in wanted:
                    obtain(folder / file, [url], digest)
            parts = [SVHN(folder, split) for split in ("train", "test")]
        train, test = (
            Split(torch.from_numpy(np.ascontiguousarray(part.data)), torch.from_numpy(part.labels)) for part in parts
        )
        return Source(self.domain, train, test)
