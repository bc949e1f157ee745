"""Users' own images in a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import ClassVar, Literal

import torch
from torch import Tensor

from vae_cli.datasets import image_cache
from vae_cli.datasets.augmentation import Augmentation
from vae_cli.datasets.data import Data
from vae_cli.datasets.dataset import HeldOutDataset, Source
from vae_cli.datasets.images import FORMATS, ImageFiles
from vae_cli.datasets.split import Split, SplitName
from vae_cli.errors import UserError, counted, warn
from vae_cli.types import Background, Domain, EventKind, NonNegativeInt, PositiveFloat, PositiveInt

SPLITS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of folders, in small letters, that hold a split of their own."""


@dataclass(frozen=True, kw_only=True)
class ImageFolder(HeldOutDataset):
    """Images below a folder, x (C, size, size) in k/255; subfolders are labels; folders train, val, test are splits.

    Args:
        path: the folder
        size: height and width in pixels; images are scaled and cropped to this square
        channels: grey (C = 1) or rgb (C = 3)
        background: colour behind transparent pixels
        memory_gb: GiB; larger data stay on disk and are decoded at each visit
        workers: processes that decode images; 0 decodes in the main process
        cache: decoded images of a large folder are kept in the user's cache folder, in another one, or not
        flip: training images are mirrored at random, left to right
        crop: training images are shifted at random by so many pixels at most
    """

    path: str
    size: PositiveInt
    channels: Literal["grey", "rgb"]
    memory_gb: PositiveFloat
    workers: NonNegativeInt
    background: Background = "white"
    cache: bool | str = True
    flip: bool = False
    crop: NonNegativeInt = 0

    name: ClassVar[str] = "image_folder"
    domain: ClassVar[Domain] = "levels"
    layout: ClassVar[EventKind] = "image"

    def read(self) -> Source:
        """Find the images; UserError names the file at fault."""
        root = Path(self.path).expanduser()
        if not root.is_dir():
            problem = "is no folder; use dataset=array|table" if root.is_file() else "there is no such folder"
            raise UserError(f"dataset.path={root}: {problem}")
        folders = split_folders(root)
        found = {split: self._files(folder) for split, folder in folders.items()} or {"train": self._files(root)}
        if folders:
            _tell_unused(root, list(folders.values()))
        classes = sorted({PurePath(name).parts[0] for name in found["train"].names if len(PurePath(name).parts) > 1})
        splits = {name: _split(root, files, classes) for name, files in found.items()}
        return Source(
            self.domain,
            splits["train"],
            splits.get("test"),
            val=splits.get("val"),
            class_names=tuple(classes) or None,
        )

    def load(self) -> Data:
        """The data, split and binarised, and decoded where they fit in memory.

        Each image is drawn by its own seed when it is decoded, so that memory changes no pixel.
        """
        data = replace(super().load(), background=self.background)
        if self.flip or self.crop:
            data = replace(data, train=replace(data.train, augmentation=Augmentation(self.flip, self.crop)))
        splits = {name: getattr(data, name) for name in ("train", "val", "test")}
        if sum(split.x.shape.numel() for split in splits.values()) > self.memory_gb * 2**30:
            return data
        return replace(data, **{name: replace(split, x=split.x.load()) for name, split in splits.items()})

    def _files(self, folder: Path) -> ImageFiles:
        names = image_names(folder)
        if not names:
            raise UserError(f"{folder}: no images; files with the endings {', '.join(FORMATS)} are read")
        files = ImageFiles(folder, names, self.size, self.channels, self.workers, self.background)
        place = image_cache.folder_of(self.cache)
        return files if place is None else files.kept_in(place)


def split_folders(root: Path) -> dict[SplitName, Path]:
    """The folders of the splits; none where the images are still to be split."""
    named: list[tuple[SplitName, Path]] = [
        (SPLITS[path.name.lower()], path) for path in sorted(root.iterdir()) if path.name.lower() in SPLITS
    ]
    found: dict[SplitName, Path] = {split: path for split, path in named if path.is_dir()}
    if not {"train", "test"} & found.keys():
        return {}  # so that valid and invalid are labels
    names = ", ".join(path.name for _, path in named if path.is_dir())
    if not {"train", "test"} <= found.keys():
        problem = f"{root}: has a folder {names}, but not the other one of train and test"
        raise UserError(f"{problem}; add it (val is optional), or rename {names} if that is a label")
    if len(found) < sum(path.is_dir() for _, path in named):
        raise UserError(f"{root}: has two folders for one split among {names}; keep one of train, of val, of test")
    return found


def image_names(folder: Path) -> tuple[str, ...]:
    """The images below a folder, relative to it, in order, hidden ones left out; each folder must be readable."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: not readable ({error.strerror})") from error

    names = []
    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if Path(place, name).is_symlink():
                warn(f"{Path(place, name)}: a link to a folder, which is not followed; its images are not used")
        images = [name for name in files if Path(name).suffix.lower() in FORMATS and not name.startswith(".")]
        names += [str(Path(place, name).relative_to(folder)) for name in images]
    return tuple(sorted(names))


def _tell_unused(root: Path, folders: Sequence[Path]) -> None:
    """Warn of images that lie beside the folders of the splits."""
    others = [path for path in sorted(root.iterdir()) if path not in folders and not path.name.startswith(".")]
    images = [path for path in others if path.is_file() and path.suffix.lower() in FORMATS]
    images += [path / name for path in others if path.is_dir() for name in image_names(path)]
    if images:
        names = ", ".join(path.name for path in folders)
        unused = counted(len(images), "unused image")
        warn(f"{root}: {unused} beside {names}, such as {images[0].relative_to(root)}")


def _split(root: Path, files: ImageFiles, classes: Sequence[str]) -> Split:
    names = tuple(str((files.root / name).relative_to(root)) for name in files.names)
    return Split(files, label(files, classes), files=names)


def label(files: ImageFiles, classes: Sequence[str]) -> Tensor | None:
    """The number of each image's subfolder, (N,), or None where there are no subfolders."""
    if not classes:
        return None
    numbers = {name: number for number, name in enumerate(classes)}
    for name in files.names:
        if len(PurePath(name).parts) == 1 or PurePath(name).parts[0] not in numbers:
            raise UserError(
                f"{files.root / name}: lies in none of the labels' folders ({', '.join(classes[:10])}); move it there"
            )
    return torch.tensor([numbers[PurePath(name).parts[0]] for name in files.names])
