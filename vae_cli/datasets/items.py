"""Examples that come one by one: map-style Datasets of torch, and data sets of Hugging Face."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from torch import Tensor

from vae_cli.datasets.dataset import OwnDataset, Source
from vae_cli.datasets.labels import labels
from vae_cli.datasets.split import Split
from vae_cli.errors import UserError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class ItemDataset(OwnDataset):
    """Items that are read once into memory: x, or (x, y), or mappings with a key of x and one of y.

    Args:
        x: key of x in an item that is a mapping
        y: key of its label, a number from 0; null: no labels
    """

    x: str
    y: str | None

    @abstractmethod
    def items(self) -> Mapping[str, Any]:
        """A sequence of items for each of train, val and test that there is."""

    def read(self) -> Source:
        """All items; UserError names the item at fault."""
        splits = {name: self._split(f"dataset.{name}", items) for name, items in self.items().items()}
        return Source(self.domain, splits["train"], splits.get("test"), val=splits.get("val"))

    def _split(self, where: str, items: Any) -> Split:
        if not hasattr(items, "__getitem__") or not hasattr(items, "__len__"):
            problem = f"{type(items).__name__} has no __getitem__ and __len__"
            raise UserError(f"{where}: {problem}; use a map-style torch.utils.data.Dataset")
        pairs = [self._pair(items[number], f"{where}[{number}]") for number in range(len(items))]
        if not pairs:
            raise UserError(f"{where}: no items")
        array = stacked([x for x, _ in pairs], where)
        self.warn_of_bytes(where, array)
        x = self.stored(array, where)
        if any(y is None for _, y in pairs):
            return Split(x)
        return Split(x, labels(np.array([y for _, y in pairs]), len(x), where))

    def _pair(self, item: Any, where: str) -> tuple[np.ndarray, Any]:
        """x and y of an item."""
        y = None
        if isinstance(item, Mapping):
            if missing := next((key for key in (self.x, self.y) if key is not None and key not in item), None):
                raise UserError(f"{where}: no key {missing}, it has {', '.join(map(str, item))}; set dataset.x=KEY")
            item, y = item[self.x], None if self.y is None else item[self.y]
        elif isinstance(item, tuple):
            item, y = item[0], item[1] if len(item) > 1 else None
        return event(item), y.item() if isinstance(y, Tensor | np.generic) else y


def event(x: Any) -> np.ndarray:
    """One x as an array; the channels of a PIL image come first."""
    if isinstance(x, Image.Image):
        pixels = np.asarray(x if x.mode in ("L", "RGB") else x.convert("RGB"))
        return pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return x.numpy(force=True) if isinstance(x, Tensor) else np.asarray(x)


def stacked(events: Sequence[np.ndarray], where: str) -> np.ndarray:
    """(N, *event); UserError names the first x of another shape."""
    shape = events[0].shape
    if other := next((number for number, one in enumerate(events) if one.shape != shape), None):
        problem = f"x has shape {events[other].shape}, that of {where}[0] is {shape}"
        raise UserError(f"{where}[{other}]: {problem}; give all x one shape")
    return np.stack(events)


@dataclass(frozen=True, kw_only=True)
class TorchDataset(ItemDataset):
    """Map-style Datasets of torch.

    Args:
        train: the Dataset of the training examples
        val: that of the validation examples; null: val_size of train
        test: that of the test examples; null: test_fraction of train
    """

    train: Any
    val: Any
    test: Any

    name: ClassVar[str] = "torch"

    def items(self) -> Mapping[str, Any]:
        """The Datasets that are set."""
        return {name: items for name in SPLITS if (items := getattr(self, name)) is not None}


@dataclass(frozen=True, kw_only=True)
class HuggingFace(ItemDataset):
    """A data set of Hugging Face in a folder that its `save_to_disk` has written; needs the package `datasets`.

    Args:
        path: the folder, with splits train and optionally validation and test, or with one split
    """

    path: str

    name: ClassVar[str] = "huggingface"

    def items(self) -> Mapping[str, Any]:
        """The splits of the folder."""
        try:
            from datasets import load_from_disk  # pyright: ignore[reportAttributeAccessIssue]
        except ImportError as error:
            raise UserError("dataset=huggingface: needs the package datasets; pip install datasets") from error
        path = Path(self.path).expanduser()
        if not path.is_dir():
            raise UserError(f"dataset.path={path}: there is no such folder; save_to_disk writes one")
        try:
            found = load_from_disk(str(path))
        except FileNotFoundError as error:
            raise UserError(f"dataset.path={path}: no data set of Hugging Face; save_to_disk writes one") from error
        if not isinstance(found, Mapping):
            return {"train": found}
        if "train" not in found:
            raise UserError(f"dataset.path={path}: no split train, it has {', '.join(found)}; use the folder of one")
        names = {"train": "train", "validation": "val", "test": "test"}
        return {names[name]: items for name, items in found.items() if name in names}
