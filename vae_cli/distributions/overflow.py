"""Numbers that float32 cannot hold: what they count as, and which examples they come from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

LARGEST = 1e25
"""Nats. Beyond it a number says only that something has overflowed on the way to it, or nearly so."""
NAMED = 10
"""Examples that are named, of all that overflow."""


def without_overflow(values: Tensor) -> Tensor:
    """-inf where float32 could not hold what `values` are made of, NaN included: a lower bound stays one."""
    return torch.where(values.abs() < LARGEST, values, -math.inf)


def finite_rows(values: Iterable[Tensor]) -> Tensor:
    """Whether all numbers of an example are finite, (B,), for values (B,) or (B, d)."""
    return torch.stack(
        [value.isfinite().flatten(1).all(1) if value.dim() > 1 else value.isfinite() for value in values]
    ).all(0)


def counted(rows: Sequence[int]) -> dict[str, float | list[float]]:
    """How many examples are left out because their numbers are not finite, and the first ones; nothing without any."""
    return {"not_finite_rows": len(rows), "first_not_finite_rows": [*rows[:NAMED]]} if rows else {}


def named(rows: Sequence[int]) -> str:
    """The first few of some rows.

    >>> named([3]), named([3, 17]), named(range(100, 112))
    ('row 3', 'rows 3, 17', 'rows 100, 101, 102, 103, 104, 105, 106, 107, 108, 109 and 2 more')
    """
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:NAMED]))}{more}"
