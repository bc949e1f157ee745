"""Precision of the arithmetic: float32 for densities at any precision of the networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch

_tf32 = False
"""True within tf32(True); the flag of torch cannot be read in compiled code."""


def float32() -> AbstractContextManager[object]:
    """A context without autocast and TF32: log densities and their sums are in float32."""
    changes: list[AbstractContextManager[object]] = [
        torch.autocast(device, enabled=False) for device in ("cpu", "cuda") if torch.is_autocast_enabled(device)
    ]
    if _tf32:
        changes.append(tf32(False))
    return _all(changes) if changes else nullcontext()  # most often nothing changes, and a loss asks often


@contextmanager
def _all(contexts: list[AbstractContextManager[object]]) -> Iterator[None]:
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """A context in which a GPU may or may not round the factors of float32 products to TF32, of 10 bits."""
    global _tf32
    before, _tf32 = _tf32, allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        _tf32 = torch.backends.cuda.matmul.allow_tf32 = before


def has_bf16(device: str) -> bool:
    """True if the hardware has instructions for products in bf16."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
