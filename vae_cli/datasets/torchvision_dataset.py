"""Any data set of images that torchvision has, by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from PIL import Image
from torch import Tensor

from vae_cli.datasets.dataset import HeldOutDataset, Source
from vae_cli.datasets.files import data_root, locked
from vae_cli.datasets.images import fitted
from vae_cli.datasets.split import Factors, Split
from vae_cli.errors import UserError, first_line
from vae_cli.types import Domain, EventKind, PositiveInt

NAMES = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
"""Values of the argument `split`."""


@dataclass(frozen=True, kw_only=True)
class Torchvision(HeldOutDataset):
    """A data set of torchvision.datasets, x (C, H, W) in k/255; it is fetched where torchvision can do so.

    Its splits train, val and test are used where there are any. Targets that are numbers are labels, and those that
    are vectors of attributes, as of CelebA, are factors.

    Args:
        name: class of torchvision.datasets, as in CelebA
        arguments: further arguments of the class, as in split=letters of EMNIST
        root: folder of data files; null: $VAE_DATA_DIR, else the user's cache
        size: height and width in pixels, to which images are scaled and cropped; null: as they are
        channels: grey (C = 1) or rgb (C = 3)
    """

    name: str  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    arguments: dict[str, str | int | float | bool] = field(default_factory=dict)
    root: str | None
    size: PositiveInt | None
    channels: Literal["grey", "rgb"]

    domain: ClassVar[Domain] = "levels"
    layout: ClassVar[EventKind] = "image"

    def read(self) -> Source:
        """All images of each split, scaled; UserError for a name that torchvision lacks, and for a failed download."""
        folder = data_root(self.root)
        make = self._class()
        try:
            found = self._splits(make, folder)
        except (RuntimeError, FileNotFoundError):  # not found or corrupted
            with locked(folder):
                found = self._splits(make, folder, download=True)
        splits = {name: self._split(items) for name, items in found.items()}
        names = getattr(found["train"], "classes", ())
        named = isinstance(names, list) and all(isinstance(one, str) for one in names)
        class_names = tuple(names) if named and splits["train"].y is not None else None
        test, val = splits.get("test"), splits.get("val")
        return Source(self.domain, splits["train"], test, val=val, class_names=class_names)

    def _class(self) -> Callable[..., Any]:
        from torchvision import datasets

        made = getattr(datasets, self.name, None)
        if not (isinstance(made, type) and issubclass(made, datasets.VisionDataset)):
            alike = [name for name in datasets.__all__ if name.lower() == self.name.lower()]
            has = f"use dataset.name={alike[0]}" if alike else "torchvision.datasets lists the names"
            raise UserError(f"dataset.name={self.name}: torchvision has no such data set; {has}")
        return made

    def _splits(self, make: Callable[..., Any], folder: Path, download: bool = False) -> Mapping[str, Any]:
        """The splits that the class has: by `train`, by `split`, or one for all."""
        takes = inspect.signature(make).parameters
        common: dict[str, Any] = {"root": folder, **self.arguments}
        if download and "download" in takes:
            common["download"] = True
        if "split" in takes and "split" not in self.arguments:
            parts = {name: [{"split": word} for word in words] for name, words in NAMES.items()}
        elif ("train" in takes or "kwargs" in takes) and "train" not in self.arguments:
            parts = {"train": [{"train": True}], "test": [{"train": False}]}
        else:
            parts = {"train": [{}]}
        found = dict[str, Any]()
        for name, choices in parts.items():
            for chosen in choices:
                try:
                    found.setdefault(name, make(**common, **chosen))
                except ValueError:  # it has no such split
                    continue
                except (RuntimeError, FileNotFoundError) as error:
                    if not download:
                        raise
                    raise self._missing(folder, error) from error
                except TypeError as error:
                    its = ", ".join(name for name in takes if name not in ("root", "kwargs"))
                    problem = first_line(error).replace(f"{self.name}.__init__() ", "")
                    way = f"set dataset.arguments ({its}) or another dataset.name"
                    raise UserError(f"dataset.name={self.name}: {problem}; {way}") from error
                except Exception as error:  # of archives and networks of all kinds
                    raise self._missing(folder, error) from error
        if "train" not in found:
            problem = "it has no split train that opens"
            raise UserError(f"dataset.name={self.name}: {problem}; set dataset.arguments.split=NAME")
        return found

    def _missing(self, folder: Path, error: Exception) -> UserError:
        place = f"place it by hand in {folder}, or set dataset.root"
        return UserError(f"dataset.name={self.name}: {first_line(error)}; {place}")

    def _split(self, items: Any) -> Split:
        """The images of a data set in memory, with labels or factors."""
        x: Tensor | None = None
        targets = []
        for number in range(len(items)):
            image, target, *_ = items[number]
            if not isinstance(image, Image.Image):
                problem = f"item {number} holds {type(image).__name__}, no image"
                raise UserError(f"dataset.name={self.name}: {problem}; use dataset=torch with a Dataset of your own")
            one = fitted(image, self.size, self.channels)
            x = torch.empty((len(items), *one.shape), dtype=torch.uint8) if x is None else x
            if one.shape != x.shape[1:]:
                problem = f"image {number} has shape {tuple(one.shape)}, the first one {tuple(x.shape[1:])}"
                raise UserError(f"dataset.name={self.name}: {problem}; set dataset.size=PIXELS")
            x[number] = one
            targets.append(target)
        if x is None:
            raise UserError(f"dataset.name={self.name}: a split has no images; remove it, or set dataset.arguments")
        if all(isinstance(target, int) for target in targets):
            return Split(x, torch.tensor(targets))
        if all(isinstance(target, Tensor) and target.dim() == 1 and target.dtype == torch.int64 for target in targets):
            values = torch.stack(targets)
            names = getattr(items, "attr_names", range(values.shape[1]))
            known = tuple(map(str, names))[: values.shape[1]]
            return Split(x, factors=Factors(known, tuple((values.amax(0) + 1).tolist()), values))
        return Split(x)
