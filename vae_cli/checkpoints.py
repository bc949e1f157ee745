"""Checkpoints that are whole or absent, and read as data, never as code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vae_cli.errors import UserError
from vae_cli.files import write_atomically


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint atomically."""
    write_atomically(path, lambda file: torch.save(checkpoint, file))


def load(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint; tensors and plain containers only, so that a file from elsewhere cannot run code."""
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file meets torch's reader and the unpickler with almost any exception
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"{path}: not a readable checkpoint, it is damaged or of another kind ({reason})") from error
