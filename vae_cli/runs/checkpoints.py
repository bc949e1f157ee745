"""Checkpoints that are whole or absent, and read as data, never as code."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_cli.errors import UserError, first_line, warn
from vae_cli.runs.atomic_files import keep_as, write_atomically
from vae_cli.runs.layout import CONFIG, DAMAGED, LAST, OWN, PREVIOUS, display

Layout = dict[tuple[str, ...], type | tuple[type, ...]]

MODEL: Layout = {
    ("state_dict",): dict,
    ("data", "name"): str,
    ("data", "event_shape"): (list, tuple),
    ("data", "domain"): str,
    ("data", "sha256"): str,
}
"""What a checkpoint holds of the model and of its data, and of which type it is."""

_LOOP = ("loops", "fit_loop")
TRAINING: Layout = {
    ("epoch",): int,
    ("global_step",): int,
    (*_LOOP, "state_dict", "combined_loader"): list,
    (*_LOOP, "epoch_progress", "current", "ready"): int,
    (*_LOOP, "epoch_progress", "current", "processed"): int,
    (*_LOOP, "epoch_loop.batch_progress", "current", "ready"): int,
    (*_LOOP, "epoch_loop.automatic_optimization.optim_progress", "optimizer"): dict,
    ("callbacks", "RandomState", "cpu"): Tensor,
    ("callbacks", "RandomState", "cuda"): list,
    ("callbacks", "History", "rows"): list,
    ("callbacks", "FixedNameCheckpoint(best)", "best_k_models"): dict,
    ("callbacks", "LastCheckpoint(last)", "best_k_models"): dict,
    ("optimizer_states",): list,
    ("lr_schedulers",): list,
    ("sums", "names"): list,
    ("sums", "totals"): Tensor,
    ("sums", "examples"): int,
}
"""What it holds of the training, which goes on from there."""


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
        raise UserError(
            f"{path}: not a readable checkpoint, it is damaged or of another kind ({first_line(error)})"
        ) from error
    if fault := _fault(checkpoint, MODEL) or _model_fault(checkpoint):
        raise UserError(f"{path}: not a whole checkpoint of vae-train, {fault}")
    return checkpoint


def _fault(checkpoint: Any, layout: Layout) -> str:
    """The first thing that is missing or of another type, in words; empty if there is none."""
    for keys, kind in layout.items():
        found = checkpoint
        for key in keys:
            if not isinstance(found, Mapping) or key not in found:
                return f"it has no {'/'.join(keys)}"
            found = found[key]
        if not isinstance(found, kind) or isinstance(found, bool):
            return f"its {'/'.join(keys)} is of type {type(found).__name__}"
    return ""


def _model_fault(checkpoint: dict[str, Any]) -> str:
    """The same of what is in the containers of the model."""
    for name, value in checkpoint["state_dict"].items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            return f"its state_dict/{name} is of type {type(value).__name__}"
    shape = checkpoint["data"]["event_shape"]
    if not shape or any(type(size) is not int or size < 1 for size in shape):
        return f"its data/event_shape is {list(shape)}"
    return ""


def others(path: Path) -> str:
    """The other checkpoints of a run beside the one at `path`, as advice."""
    names = [name for name in OWN if (file := path.with_name(f"{name}.ckpt")) != path and file.exists()]
    return "".join(f", ckpt={name}" for name in names)


def newest(folder: Path) -> Path:
    """The newest checkpoint of a run that can be read: the last one, else the one before; UserError names both."""
    faults = []
    for path in (folder / LAST, folder / PREVIOUS):
        try:
            if fault := _fault(load(path), TRAINING):
                raise UserError(f"{path}: a training cannot go on from it, {fault}")
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


def load_weights(module: nn.Module, checkpoint: dict[str, Any], path: Path) -> None:
    """Weights of a checkpoint, read from `path`, into a module."""
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except (KeyError, RuntimeError) as error:
        problem = f"does not fit the model that the run's {CONFIG} describes"
        raise UserError(f"{path}: {problem}; take another one{others(path)}") from error
