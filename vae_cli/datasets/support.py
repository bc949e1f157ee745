"""Checks of loaded data, plug-ins included: shapes, types, labels, and values in the stated domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, get_args

import torch
from torch import Tensor

from vae_cli.datasets.arrays import LEVEL_TOLERANCE, NO_LEVELS, VALUES, channels_last
from vae_cli.datasets.data import Data
from vae_cli.datasets.noise import BLOCK
from vae_cli.datasets.split import Split
from vae_cli.datasets.streamed import Streamed
from vae_cli.errors import ConfigError, counted
from vae_cli.types import Domain

SPLITS = ("train", "val", "test")
IN_DOMAIN: dict[Domain, Callable[[Tensor], Tensor]] = {
    "binary": lambda x: (x == 0) | (x == 1),
    "levels": lambda x: (x >= 0) & (x <= 1) & ((255 * x - (255 * x).round()).abs() <= LEVEL_TOLERANCE),
    "unit": lambda x: (x >= 0) & (x <= 1),
    "real": torch.isfinite,
}


class DomainError(ConfigError):
    """Values outside the stated domain; `domain` is the one that contains them, None if they are not finite."""

    def __init__(self, message: str, domain: Domain | None) -> None:
        super().__init__(message)
        self.domain = domain


def check_data(data: Any, named: str) -> Data:
    """The data after all checks; `named` is the data set in a message."""
    if not isinstance(data, Data):
        raise ConfigError(f"{named}: load() gives {type(data).__name__}; it must return a vae_cli.datasets.Data")
    if data.domain not in get_args(Domain):
        raise ConfigError(f"{named}: domain {data.domain!r} is none of {', '.join(get_args(Domain))}")
    for name in SPLITS:
        _check_split(getattr(data, name), data, f"{named}: {name}")
    if not len(data.train):
        raise ConfigError(f"{named}: train has no examples; give it some")
    if channels_last(tuple(data.event_shape)):
        shape = tuple(data.event_shape)
        raise ConfigError(f"{named}: x has channels last, {shape}; give (C, H, W): x.permute(0, 3, 1, 2)")
    check_values(data, named)
    return data


def _check_split(split: Any, data: Data, where: str) -> None:
    """Check types, shapes and all labels; reads no x."""
    if not isinstance(split, Split) or not isinstance(split.x, Tensor | Streamed):
        raise ConfigError(f"{where}: not a vae_cli.datasets.Split of a tensor x")
    if split.event_shape != tuple(data.event_shape):
        raise ConfigError(f"{where}: x has events {split.event_shape}, event_shape is {tuple(data.event_shape)}")
    floats = (torch.float32, torch.float64) if data.standardisation else (torch.float32,)
    if isinstance(split.x, Tensor) and split.x.dtype not in (*floats, torch.uint8):
        raise ConfigError(f"{where}: x is {split.x.dtype}; give x.float(), or torch.uint8 for the k of k/255")
    if isinstance(split.x, Tensor) and split.x.dtype == torch.uint8 and data.domain == "real":
        raise ConfigError(f"{where}: bytes are the k of k/255, and domain is real; give x.float(), or domain levels")
    factors = split.factors and split.factors.values
    for name, of_each in (("source", split.source), ("files", split.files), ("factors", factors)):
        if of_each is not None and len(of_each) != len(split):
            raise ConfigError(f"{where}: {name} is of {counted(len(of_each), 'example')}, x of {len(split)}")
    _check_labels(split.y, len(split), data.classes, where)


def _check_labels(y: Any, count: int, classes: int | None, where: str) -> None:
    if y is None:
        return
    if not isinstance(y, Tensor) or tuple(y.shape) != (count,) or y.dtype != torch.int64:
        form = f"{y.dtype}, shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise ConfigError(f"{where}: y is {form}; labels are torch.int64, shape ({count},): y.long(), or None")
    if count and (y.min() < 0 or (classes is not None and y.max() >= classes)):
        span = f"y lies in {int(y.min())}..{int(y.max())}"
        raise ConfigError(f"{where}: {span}, classes is {classes}; labels are 0 to classes - 1")


def check_values(data: Data, named: str) -> None:
    """Every x lies in the domain; ConfigError names the first row that does not, as a row of what was read."""
    splits: dict[str, Split] = {name: getattr(data, name) for name in SPLITS}
    for name, split in splits.items():
        if isinstance(split.x, Tensor):
            domain = "unit" if split.dynamic else data.domain  # probabilities, drawn at each visit
            _check_tensor(split, domain, f"{named}: {name}")
    _check_levels([split.x for split in splits.values() if split.dynamic or data.domain != "binary"], named)


def _check_tensor(split: Split, domain: Domain, where: str) -> None:
    """Check values; bytes are the k of k/255 and always lie in [0, 1]."""
    assert isinstance(split.x, Tensor)
    is_bytes = split.x.dtype == torch.uint8
    if is_bytes and domain != "binary":
        return
    words, lies_in = VALUES[domain], IN_DOMAIN[domain]
    if is_bytes:
        words, lies_in = "0 or 255", lambda x: (x == 0) | (x == 255)
    for number, x in enumerate(split.x.split(BLOCK)):
        fine = lies_in(x)
        if not fine.all():
            index = tuple(fine.logical_not().nonzero()[0].tolist())
            row, value = int(split.rows[number * BLOCK + index[0]]), x[index].item()
            message = f"{where}: row {row} holds {value:g}; its domain is {domain}, every value must be {words}"
            fitting: list[Domain] = [name for name, inside in IN_DOMAIN.items() if inside(split.x).all()]
            raise DomainError(message, "levels" if is_bytes else next(iter(fitting), None))


def _check_levels(arrays: Sequence[Tensor | Streamed], named: str) -> None:
    """Refuse bytes of 0 and 1: masks or counts, which would become black images as levels."""
    largest = 0
    for value in chain.from_iterable(map(_largest, arrays)):
        largest = max(largest, value)
        if largest > 1:
            return  # usually the first of the streamed images
    if largest == 1:
        raise ConfigError(
            f"{named}: x holds {NO_LEVELS}; store 0 and 255, "
            "or use dataset=array dataset.domain=binary likelihood=bernoulli"
        )


def _largest(x: Tensor | Streamed) -> Iterator[int]:
    """The largest byte of successive examples, before binarisation; empty for other types."""
    if isinstance(x, Streamed):
        yield from x.largest()
    elif x.dtype == torch.uint8:
        yield from (int(block.max()) for block in x.split(BLOCK) if len(block))
