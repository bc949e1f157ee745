"""Numbers that overflow float32, and the examples they come from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

LARGEST = 1e25
"""Nats; a larger number counts as an overflow."""
NAMED = 10
"""Number of overflowing examples that a message names."""


def without_overflow(values: Tensor) -> Tensor:
    """-inf in place of overflows and NaN, so that a lower bound remains one."""
    return torch.where(values.abs() < LARGEST, values, -math.inf)


def finite_rows(values: Iterable[Shaped[Tensor, "B ..."]]) -> Bool[Tensor, " B"]:
    """Mask of the examples whose numbers are all finite, (B,), for values (B,) or (B, d)."""
    return torch.stack(
        [value.isfinite().flatten(1).all(1) if value.dim() > 1 else value.isfinite() for value in values]
    ).all(0)


def counted(rows: Sequence[int]) -> dict[str, float | list[float]]:
    """Number of examples left out because their numbers are not finite, and the first of them; empty if none is."""
    return {"not_finite_rows": len(rows), "first_not_finite_rows": [*rows[:NAMED]]} if rows else {}


def named(rows: Sequence[int]) -> str:
    """Text that names the first rows.

    >>> named([3]), named([3, 17]), named(range(100, 112))
    ('row 3', 'rows 3, 17', 'rows 100, 101, 102, 103, 104, 105, 106, 107, 108, 109 and 2 more')
    """
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:NAMED]))}{more}"
