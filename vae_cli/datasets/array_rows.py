"""An array larger than memory: blocks of rows, read in a shuffled order."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vae_cli.datasets.array_files import Rows
from vae_cli.datasets.arrays import ELSE, stored
from vae_cli.datasets.noise import fixed_bernoulli, seed_of, threshold
from vae_cli.datasets.streamed import Streamed
from vae_cli.distributions.standardisation import Standardisation
from vae_cli.types import Binarize, Domain, Shape

BLOCK_BYTES = 2**20
"""Bytes of a block of neighbouring rows, which is read at once."""
POOL = 64
"""Blocks whose rows are shuffled together."""
SAMPLE_BYTES = 2**26
"""Bytes of the rows by which a streamed array is standardised."""


def give_back() -> None:
    """Return freed memory to the system: glibc keeps the holes between the results of one batch and the next."""
    with suppress(AttributeError):  # of another C library
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True, eq=False)
class ArrayRows(Streamed):
    """Rows of an array on disk as examples (N, *event).

    rows: positions in the array, ascending; None: all
    where: the array in a message
    units: standardisation of what batches hold
    binarize: static draws each row by (seed, its position in the array)
    """

    array: Rows
    event_shape: Shape
    domain: Domain
    where: str
    dtype: type[np.floating] = np.float32
    rows: Tensor | None = None
    units: Standardisation | None = None
    binarize: Literal["none", "static", "threshold"] = "none"
    seed: int = 0

    in_sequence = True

    @property
    def shape(self) -> torch.Size:
        return torch.Size((self.array.shape[0] if self.rows is None else len(self.rows), *self.event_shape))

    @cached_property
    def height(self) -> int:
        """Rows of a block: about BLOCK_BYTES of them, and whole chunks of a file that has chunks."""
        row = self.array.dtype.itemsize * int(np.prod(self.event_shape))
        height = max(1, BLOCK_BYTES // row)
        chunks: tuple[int, ...] | None = getattr(self.array, "chunks", None)  # of HDF5 and of zarr
        return height if not chunks else -(-height // chunks[0]) * chunks[0]

    def __getitem__(self, index: Tensor) -> ArrayRows:
        return replace(self, rows=index if self.rows is None else self.rows[index])

    def standardised(self, units: Standardisation) -> ArrayRows:
        return replace(self, units=units)

    def binarised(self, mode: Binarize, seed: int) -> ArrayRows:
        assert mode in ("none", "static", "threshold")
        return replace(self, binarize=mode, seed=seed)

    def order(self, generator: torch.Generator) -> Tensor:
        """Blocks in a random order, and the rows of each POOL of them in a random order."""
        rows = torch.arange(len(self)) if self.rows is None else self.rows
        block = rows // self.height
        pool = torch.randperm(int(block[-1]) + 1, generator=generator) // POOL  # of each block
        shuffled = torch.randperm(len(rows), generator=generator)
        return shuffled[pool[block[shuffled]].sort(stable=True).indices]

    def batches(self, chunks: Sequence[Tensor]) -> Iterator[Tensor]:
        blocks, seen = OrderedDict[int, Tensor](), 0
        for chunk in chunks:
            seen += len(chunk)
            if seen > POOL * self.height:
                seen = 0
                give_back()
            rows = chunk.cpu() if self.rows is None else self.rows[chunk.cpu()]
            yield self._read(rows, blocks).to(chunk.device, non_blocking=True)

    def _read(self, rows: Tensor, blocks: OrderedDict[int, Tensor]) -> Tensor:
        """The examples at these rows of the array; the blocks that were used last stay in memory."""
        numbers, x = rows // self.height, None
        for number in numbers.unique().tolist():
            if number not in blocks:
                blocks[number] = self.block(number)
            blocks.move_to_end(number)
            here = numbers == number
            part = blocks[number][rows[here] - number * self.height]
            x = part.new_empty((len(rows), *self.event_shape)) if x is None else x
            x[here] = part
            if len(blocks) > 2 * POOL:
                blocks.popitem(last=False)
        assert x is not None
        if self.binarize == "threshold":
            return threshold(x)
        if self.binarize == "static":
            pairs = zip(x, rows.tolist(), strict=True)
            return torch.stack([fixed_bernoulli(one, seed_of(self.seed, row)) for one, row in pairs])
        return x if self.units is None else self.units.standardise(x)

    def block(self, number: int) -> Tensor:
        """The rows of a block, checked; UserError with the row at fault."""
        start = number * self.height
        array = np.asarray(self.array[start : start + self.height])
        where = f"{self.where} (rows from {start:,})" if start else self.where
        return stored(array.reshape(-1, *self.event_shape), self.domain, where, self.dtype, ELSE)

    def sample(self) -> Tensor:
        """Rows of blocks at equal distances, at most SAMPLE_BYTES of them."""
        rows = torch.arange(len(self)) if self.rows is None else self.rows
        present = (rows // self.height).unique()
        most = max(1, SAMPLE_BYTES // (self.height * 4 * int(np.prod(self.event_shape))))
        chosen = present[torch.linspace(0, len(present) - 1, min(most, len(present))).long().unique()]
        inside = rows[torch.isin(rows // self.height, chosen)]
        return self._read(inside, OrderedDict())

    def largest(self) -> Iterator[int]:
        if self.array.dtype == np.uint8 and self.domain != "real":
            yield from (int(self.block(number).max()) for number in range(-(-self.array.shape[0] // self.height)))

    def fingerprint(self) -> bytes:
        """A hash of shape, type, 65 blocks at equal distances, and the rows that are used."""
        total = sha256(f"{self.array.dtype} {self.array.shape} {self.binarize}".encode())
        last = -(-self.array.shape[0] // self.height) - 1
        for number in sorted({round(last * part / 64) for part in range(65)}):
            start = number * self.height
            total.update(np.ascontiguousarray(self.array[start : start + self.height]).data)
        if self.rows is not None:
            total.update(self.rows.numpy().data)
        return total.digest()
