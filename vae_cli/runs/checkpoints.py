"""Checkpoints that are whole or absent, and read as data, never as code."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from vae_cli.errors import UserError, first_line
from vae_cli.runs.atomic_files import write_atomically
from vae_cli.runs.run_files import CHECKPOINTS, CONFIG

Layout = dict[tuple[str, ...], type | tuple[type, ...]]

MODEL: Layout = {
    ("state_dict",): dict,
    ("data", "name"): str,
    ("data", "event_shape"): (list, tuple),
    ("data", "domain"): str,
    ("data", "sha256"): str,
}
"""Entries of a checkpoint that a model needs, with their types."""

_LOOP = ("loops", "fit_loop")
STEPS = (*_LOOP, "epoch_loop.manual_optimization.optim_step_progress", "total")
"""The counter of Lightning behind global_step."""
TRAINING: Layout = {
    ("epoch",): int,
    ("global_step",): int,
    (*_LOOP, "state_dict", "combined_loader"): list,
    (*_LOOP, "epoch_progress", "current", "ready"): int,
    (*_LOOP, "epoch_progress", "current", "processed"): int,
    (*_LOOP, "epoch_loop.batch_progress", "current", "ready"): int,
    STEPS: dict,
    ("callbacks", "RandomState", "cpu"): Tensor,
    ("callbacks", "RandomState", "cuda"): list,
    ("callbacks", "History", "rows"): (str, list),
    ("callbacks", "checkpoint(best)", "best_k_models"): dict,
    ("callbacks", "checkpoint(last)", "best_k_models"): dict,
    ("optimizer_states",): list,
    ("lr_schedulers",): list,
    ("sums", "names"): list,
    ("sums", "totals"): Tensor,
    ("sums", "examples"): int,
    ("origin", "max_epochs"): int,
    ("origin", "continued_at"): list,
    ("origin", "init"): dict,
}
"""Further entries that a training needs to resume."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint and its file."""

    path: Path
    content: dict[str, Any]


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint atomically; an earlier last.ckpt becomes previous.ckpt."""
    views = checkpoint.keys() & {"state_dict", "optimizer_states"}  # where several models train together
    tensors = {name: tree_map_only(Tensor, _own, checkpoint[name]) for name in views}
    _write(path, lambda file: torch.save(checkpoint | tensors, file))


def copy(source: Path, path: Path) -> None:
    """Write the checkpoint at `source` to `path`, as `save` does."""
    with source.open("rb") as content:
        _write(path, partial(shutil.copyfileobj, content))


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    write_atomically(path, write, path.with_name("previous.ckpt") if path.name == "last.ckpt" else None)


def _own(value: Tensor) -> Tensor:
    """A tensor with memory of its own, because torch saves all of the memory that a row of another one shares."""
    return value if value.untyped_storage().nbytes() == value.nbytes else value.clone()


def load(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint: tensors and plain containers only, so that a file from elsewhere cannot run code."""
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not verify the check sums
            if broken := archive.testzip():
                raise ValueError(f"the check sum of {broken} is wrong")
        checkpoint = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch's reader and the unpickler raise almost any exception for a damaged file
        problem = f"not a readable checkpoint, it is damaged or of another kind ({first_line(error)})"
        raise UserError(f"{path}: {problem}") from error
    if fault := _fault(checkpoint, MODEL) or _model_fault(checkpoint):
        raise UserError(f"{path}: not a whole checkpoint of vae-train, {fault}")
    return checkpoint


def load_training(path: Path) -> Checkpoint:
    """Read a checkpoint that a training can resume from."""
    checkpoint = load(path)
    if fault := _fault(checkpoint, TRAINING):
        raise UserError(f"{path}: a training cannot resume from it, {fault}")
    steps = checkpoint["global_step"]  # which another counter held when Lightning itself took the steps
    reduce(getitem, STEPS, checkpoint).update(ready=steps, completed=steps)
    return Checkpoint(path, checkpoint)


def _fault(checkpoint: Any, layout: Layout) -> str:
    """The first entry that is missing or of another type, in words; empty if there is none."""
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
    """The first entry of the model's containers that is of another type, in words; empty if there is none."""
    for name, value in checkpoint["state_dict"].items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            return f"its state_dict/{name} is of type {type(value).__name__}"
    shape = checkpoint["data"]["event_shape"]
    if not shape or any(type(size) is not int or size < 1 for size in shape):
        return f"its data/event_shape is {list(shape)}"
    return ""


def others(path: Path) -> str:
    """The remedy for a checkpoint that is of no use: the other checkpoints of its run."""
    names = [name for name in CHECKPOINTS if (file := path.with_name(f"{name}.ckpt")) != path and file.exists()]
    return "use another one" + "".join(f", ckpt={name}" for name in names)


def load_weights(module: nn.Module, checkpoint: dict[str, Any], path: Path) -> None:
    """Load the weights of a checkpoint, read from `path`, into a module."""
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except (KeyError, RuntimeError) as error:
        problem = f"does not fit the model that the run's {CONFIG} describes"
        raise UserError(f"{path}: {problem}; restore {CONFIG}, or {others(path)}") from error
