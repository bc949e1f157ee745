"""Examples that stay on disk and are read when batches are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Self

import torch
from torch import Tensor

from vae_cli.distributions.standardisation import Standardisation
from vae_cli.types import Binarize


class Streamed(ABC):
    """An array (N, *event) on disk; batches hold it as a Split would: uint8 (k of k/255) or float32."""

    in_sequence = False
    """True if examples are read faster in their own order."""

    @property
    @abstractmethod
    def shape(self) -> torch.Size:
        """The shape of all examples, (N, *event)."""

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, index: Tensor) -> Self:
        """The examples at these positions."""

    @abstractmethod
    def batches(self, chunks: Sequence[Tensor]) -> Iterator[Tensor]:
        """The examples at each chunk of positions, on the device of the chunk."""

    @abstractmethod
    def binarised(self, mode: Binarize, seed: int) -> Self:
        """Examples that are drawn by the seed, or thresholded, when they are read."""

    @abstractmethod
    def largest(self) -> Iterator[int]:
        """The largest byte of successive examples, before binarisation; empty for other types."""

    @abstractmethod
    def fingerprint(self) -> bytes:
        """A hash of the content, or of facts that change with it."""

    def sample(self) -> Tensor:
        """Examples by which all are standardised."""
        raise NotImplementedError

    def standardised(self, units: Standardisation) -> Self:
        """Examples that are standardised when they are read."""
        raise NotImplementedError

    def order(self, generator: torch.Generator) -> Tensor:
        """A permutation of the positions, (N,)."""
        return torch.randperm(len(self), generator=generator)
