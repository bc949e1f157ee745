"""Factors of variation of generated examples."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Factors:
    """Values (N, F) int64 of F named factors, 0 <= values[:, k] < sizes[k], ascending where a factor is ordered."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    values: Tensor

    def select(self, index: Tensor | slice) -> Factors:
        """Factors of the examples at these positions."""
        return replace(self, values=self.values[index])
