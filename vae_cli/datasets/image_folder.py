"""Users' own images in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ClassVar, Literal

import torch
from torch import Tensor

from vae_cli.datasets.dataset import HeldOutDataset, Source
from vae_cli.datasets.images import FORMATS, ImageFiles
from vae_cli.datasets.split import Split
from vae_cli.errors import UserError
from vae_cli.types import Domain, Layout, NonNegativeInt, PositiveFloat, PositiveInt


@dataclass(frozen=True, kw_only=True)
class ImageFolder(HeldOutDataset):
    """Images below a folder; the subfolder is the label. Folders train and test, if both are there, are the splits.

    path: the folder; size: of the square that images are scaled and cropped to; channels: grey or rgb
    memory_gb: more than that is not held in memory but decoded anew at each visit
    workers: processes that decode; 0 for none
    """

    path: str
    size: PositiveInt
    channels: Literal["grey", "rgb"]
    memory_gb: PositiveFloat
    workers: NonNegativeInt

    name: ClassVar[str] = "image_folder"
    domain: ClassVar[Domain] = "levels"
    layout: ClassVar[Layout] = "image"

    def read(self) -> Source:
        """Find and, where they fit in memory, decode the images; UserError names the file at fault."""
        root = Path(self.path).expanduser()
        if not root.is_dir():
            raise UserError(f"dataset.path={root}: there is no such folder")
        given = [part for part in ("train", "test") if (root / part).is_dir()]
        if len(given) == 1:
            raise UserError(f"{root}: has a folder {given[0]}, but not the other one of train and test")
        folders = [root / part for part in given] or [root]
        files = [self._files(folder) for folder in folders]
        classes = sorted({PurePath(name).parts[0] for name in files[0].names if len(PurePath(name).parts) > 1})
        labels = [label(part, classes) for part in files]
        in_memory = sum(part.shape.numel() for part in files) <= self.memory_gb * 2**30
        splits = [
            Split(
                part.load() if in_memory else part,
                y,
                files=tuple(str((part.root / name).relative_to(root)) for name in part.names),
            )
            for part, y in zip(files, labels, strict=True)
        ]
        return Source(self.domain, splits[0], splits[1] if given else None)

    def _files(self, folder: Path) -> ImageFiles:
        paths = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in FORMATS)
        names = sorted(str(path) for path in paths if not any(part.startswith(".") for part in path.parts))
        if not names:
            raise UserError(f"{folder}: no images; files with the endings {', '.join(FORMATS)} are read")
        return ImageFiles(folder, tuple(names), self.size, self.channels, self.workers)


def label(files: ImageFiles, classes: Sequence[str]) -> Tensor | None:
    """The number of each image's subfolder, (N,), or None where there are no subfolders."""
    if not classes:
        return None
    numbers = {name: number for number, name in enumerate(classes)}
    for name in files.names:
        if len(PurePath(name).parts) == 1 or PurePath(name).parts[0] not in numbers:
            raise UserError(f"{files.root / name}: lies in none of the labels' folders ({', '.join(classes[:10])})")
    return torch.tensor([numbers[PurePath(name).parts[0]] for name in files.names])
