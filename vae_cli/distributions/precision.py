"""Densities stay in float32 whatever the precision of the networks."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def float32() -> AbstractContextManager[object]:
    """Log densities and their sums stay in float32 whatever the precision the networks run in."""
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            return torch.autocast(device, enabled=False)
    return nullcontext()
