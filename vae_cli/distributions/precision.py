"""Float32 for densities at any precision of the networks."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def float32() -> AbstractContextManager[object]:
    """A context without autocast: log densities and their sums are in float32."""
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            return torch.autocast(device, enabled=False)
    return nullcontext()
