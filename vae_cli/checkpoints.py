"""Checkpoints that are whole or absent, and read as data, never as code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from vae_cli.errors import UserError, warn
from vae_cli.files import keep_as, write_atomically
from vae_cli.folders import DAMAGED, LAST, PREVIOUS, display

KEYS = {"state_dict", "data"}
"""What every checkpoint of ours holds."""


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint atomically; the last one becomes the previous one."""
    previous = path.with_name(PREVIOUS.name) if path.name == LAST.name else None
    write_atomically(path, lambda file: torch.save(checkpoint, file), previous)


def load(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint; tensors and plain containers only, so that a file from elsewhere cannot run code."""
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not look at the check sums in it
            if broken := archive.testzip():
                raise ValueError(f"{broken} in it is not what was written")
        checkpoint = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file meets torch's reader and the unpickler with almost any exception
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise UserError(f"{path}: not a readable checkpoint, it is damaged or of another kind ({reason})") from error
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= KEYS:
        raise UserError(f"{path}: not a checkpoint of vae-train")
    return checkpoint


def newest(folder: Path) -> Path:
    """The newest checkpoint of a run that can be read: the last one, else the one before; UserError names both."""
    faults = []
    for path in (folder / LAST, folder / PREVIOUS):
        try:
            load(path)
        except UserError as error:
            faults.append(str(error))
        else:
            return path
    raise UserError("; ".join(faults))


def mend(folder: Path) -> None:
    """Where the last checkpoint of a run cannot be read, put the one before in its place, and say so."""
    last, found = folder / LAST, newest(folder)
    if found != last:
        keep_as(last, folder / DAMAGED)
        keep_as(found, last)
        warn(f"{display(last)} is damaged (it is now {DAMAGED.name}); goes on from the one before, {PREVIOUS.name}")
