"""Elementwise functions on large arrays, piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor

PIECE = 2**15
"""Entries of a tensor that a thread of a CPU works on at a time."""


def in_pieces(function: Callable[..., tuple[Tensor, ...]], *entries: Tensor) -> tuple[Tensor, ...]:
    """An elementwise function, on a CPU of pieces whose intermediate results stay in its cache."""
    whole = entries[0].device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling()
    size = PIECE * torch.get_num_threads()
    if whole or entries[0].numel() <= size:
        return function(*entries)
    pieces = zip(*(part.reshape(-1).split(size) for part in entries), strict=True)
    first = function(*next(pieces))
    results = [torch.empty_like(entries[1], memory_format=torch.contiguous_format) for _ in first]
    places = zip(*(result.view(-1).split(size) for result in results), strict=True)
    for place, values in zip(places, chain([first], (function(*piece) for piece in pieces)), strict=True):
        for part, result in zip(place, values, strict=True):
            part.copy_(result)
    return tuple(results)
