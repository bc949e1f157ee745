"""Image files as an array that is read when it is needed: a hostile file raises UserError."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from vae_cli.datasets import image_cache
from vae_cli.datasets.noise import fixed_bernoulli, seed_of, threshold
from vae_cli.datasets.streamed import Streamed
from vae_cli.errors import UserError, first_line
from vae_cli.types import Background, Binarize

if TYPE_CHECKING:
    from PIL import Image

Channels = Literal["grey", "rgb"]
FORMATS = {  # only raster formats that Pillow decodes by itself: no external program reads a file
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}


def decode(path: Path, size: int, channels: Channels, background: Background = "white") -> Tensor:
    """The image scaled and cropped about its centre to (C, size, size), uint8; transparent pixels show the background.

    Raises UserError, naming the file, where it is no image, damaged, too large to decode safely, or has 16 bits.
    """
    from PIL import Image, ImageOps

    try:
        if path.exists() and not path.is_file():  # opening a named pipe would wait for ever
            raise UserError(f"{path}: not a file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=sorted(set(FORMATS.values()))) as image:
                if image.mode[0] in "IF":
                    raise UserError(f"{path}: more than 8 bits a channel ({image.mode}); convert it to 8 bits")
                return fitted(ImageOps.exif_transpose(image), size, channels, background)
    except UserError:
        raise
    except Exception as error:  # decoders raise many kinds of exception for a hostile file
        raise UserError(f"{path}: not a readable image ({first_line(error)})") from error


def fitted(image: Image.Image, size: int | None, channels: Channels, background: Background = "white") -> Tensor:
    """The image scaled and cropped about its centre to (C, size, size), uint8; as large as it is without a size."""
    from PIL import Image, ImageOps

    plain = _opaque(image, background).convert("L" if channels == "grey" else "RGB")
    if size is not None:
        plain = ImageOps.fit(plain, (size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(plain)).reshape(plain.height, plain.width, -1).permute(2, 0, 1)


def _opaque(image: Image.Image, background: Background) -> Image.Image:
    """The image composed on the background where it has transparent pixels."""
    from PIL import Image

    if not {"A", "a"} & set(image.getbands()) and "transparency" not in image.info:
        return image
    if image.mode == "La":  # Pillow converts premultiplied alpha by way of straight alpha
        image = image.convert("LA")
    pixels = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", pixels.size, background), pixels)


@dataclass(frozen=True)
class ImageFiles(Streamed):
    """Images under a folder, (N, C, size, size) uint8, decoded by `workers` processes when batches are asked for.

    `binarize` static draws each image by (seed, name), so the draw depends neither on order nor on batch size.

    decoded: file of decoded images, which is read instead; `numbers`: place of each image there
    """

    root: Path
    names: tuple[str, ...]
    size: int
    channels: Channels
    workers: int
    background: Background = "white"
    binarize: Literal["none", "static", "threshold"] = "none"
    seed: int = 0
    decoded: Path | None = None
    numbers: Tensor | None = None

    @property
    def shape(self) -> torch.Size:
        """(N, C, size, size)."""
        return torch.Size((len(self.names), 1 if self.channels == "grey" else 3, self.size, self.size))

    def __getitem__(self, index: Tensor) -> ImageFiles:
        numbers = None if self.numbers is None else self.numbers[index]
        return replace(self, names=tuple(self.names[i] for i in index.tolist()), numbers=numbers)

    def kept_in(self, folder: Path) -> ImageFiles:
        """The images with a file of decoded ones in a folder, where they are many and there is room."""
        if len(self) < image_cache.FEWEST:
            return self
        settings = f"{self.size} {self.channels} {self.background}"
        name, blocks = image_cache.key(self.root, self.names, settings), torch.arange(len(self)).split(256)
        file = image_cache.decoded(folder, name, tuple(self.shape), self.batches(blocks))
        return self if file is None else replace(self, decoded=file, numbers=torch.arange(len(self)))

    def read(self, position: int) -> Tensor:
        """One image, (C, size, size) uint8."""
        name = self.names[position]
        if self.decoded is not None and self.numbers is not None:
            x = torch.from_numpy(np.array(np.load(self.decoded, mmap_mode="r")[int(self.numbers[position])]))
        else:
            x = decode(self.root / name, self.size, self.channels, self.background)
        if self.binarize == "threshold":
            return threshold(x)
        return fixed_bernoulli(x, seed_of(self.seed, name)) if self.binarize == "static" else x

    def batches(self, chunks: Sequence[Tensor]) -> Iterator[Tensor]:
        """The images at each chunk of positions, (B, C, size, size) uint8, on the device of the chunk."""
        if self.decoded is not None and self.numbers is not None and self.binarize == "none":
            for chunk in chunks:  # mapped anew for each batch, so that a process holds no more than that
                kept = np.load(self.decoded, mmap_mode="r")[self.numbers[chunk.cpu()].numpy()]
                yield torch.from_numpy(np.asarray(kept)).to(chunk.device, non_blocking=True)
            return
        loader = DataLoader(
            _Chunks(self),
            batch_size=None,
            sampler=[chunk.tolist() for chunk in chunks],
            num_workers=min(self.workers, cores()),  # torch warns of more
            generator=torch.Generator(),  # else each pass takes a number from the global random state
        )
        for chunk, images in zip(chunks, loader, strict=True):
            if isinstance(images, UserError):
                raise images
            yield images.to(chunk.device, non_blocking=True)

    def load(self) -> Tensor:
        """All images in memory."""
        if not len(self):
            return torch.empty(self.shape, dtype=torch.uint8)
        return torch.cat(list(self.batches(torch.arange(len(self)).split(256))))

    def binarised(self, mode: Binarize, seed: int) -> ImageFiles:
        assert mode in ("none", "static", "threshold")
        return replace(self, binarize=mode, seed=seed)

    def largest(self) -> Iterator[int]:
        grey = replace(self, binarize="none")
        return (int(grey.read(position).max()) for position in range(len(self)))

    def fingerprint(self) -> bytes:
        """A hash of names and file sizes."""
        lines = (f"{name} {(self.root / name).stat().st_size}\n" for name in self.names)
        return sha256("".join(lines).encode(errors="surrogateescape")).digest()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Chunks(TorchDataset):
    """Reads a chunk of positions; an error travels as a value, because a worker wraps an exception in its traceback."""

    def __init__(self, files: ImageFiles) -> None:
        self.files = files

    def __getitem__(self, positions: list[int]) -> Tensor | UserError:
        try:
            return torch.stack([self.files.read(position) for position in positions])
        except UserError as error:
            return error
