"""A warm start: parts of a new model begin with the weights of another run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vae_cli.capabilities import Capable
from vae_cli.datasets.info import DatasetInfo
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.distributed.terminal import say
from vae_cli.errors import ConfigError
from vae_cli.models.model import LatentVariableModel
from vae_cli.runs import checkpoints
from vae_cli.runs.find import initial_checkpoint
from vae_cli.runs.layout import display
from vae_cli.runs.results import Results

State = Mapping[str, Tensor]
PREFIX = "model."
"""Prefix of the names of a model's weights in a checkpoint."""


@dataclass(frozen=True)
class WarmStart:
    """The parts of a model that came from a checkpoint, and those that did not.

    Args:
        checkpoint: its file
        sha256: of the file
        epoch: number of epochs before the checkpoint
        parts: parts that have its weights
        left: the other parts, each with the reason
    """

    checkpoint: str
    sha256: str
    epoch: int
    parts: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def results(self) -> Results:
        names = {"checkpoint": self.checkpoint, "sha256": self.sha256, "epoch": self.epoch}
        return {f"init/{name}": value for name, value in names.items()} | {
            "init/parts": ", ".join(self.parts),
            "init/left": "; ".join(self.left),
        }

    def announce(self, phases: Sequence[str]) -> None:
        """Print which parts are loaded, and which phases before training change them."""
        if not is_rank_zero():
            return
        left = f"; not {'; not '.join(self.left)}" if self.left else ""
        say(f"init: {', '.join(self.parts)} from {display(Path(self.checkpoint))}, epoch {self.epoch}{left}")
        if phases:
            off = " ".join(f"{name}=none" for name in phases)
            say(f"init: {' and '.join(phases)} follow as configured; use {off} to leave that out")


def start(model: LatentVariableModel, init: str, init_parts: Sequence[str] | None, facts: DatasetInfo) -> WarmStart:
    """Load the checkpoint `init` into the parts of `init_parts`, which must all fit; None: into all that fit."""
    file = initial_checkpoint(init)
    checkpoint = checkpoints.load(file)
    state = model.state_dict()
    weights = {n.removeprefix(PREFIX): v for n, v in checkpoint["state_dict"].items() if n.startswith(PREFIX)}
    moved = checkpoint["data"]["sha256"] != facts.sha256
    whole = {n: _mismatch(model, n, state, weights, moved) for n, _ in model.named_children() if _below(n, state)}
    names = init_parts or whole
    faults = {name: whole.get(name) or _mismatch(model, name, state, weights, moved) for name in names}
    fitting = tuple(name for name, fault in faults.items() if not fault)
    left = tuple(f"{name}: {fault}" for name, fault in faults.items() if fault)
    if left and (init_parts or not fitting):
        others = ", ".join(name for name, fault in whole.items() if not fault)
        hint = f"init_parts=[{others}] fits" if others else "none of the parts of this model fits"
        raise ConfigError(f"init={init}: {left[0]}; {hint}")
    model.load_state_dict({n: v for part in fitting for n, v in _below(part, weights).items()}, strict=False)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return WarmStart(str(file), digest, int(checkpoint.get("epoch", 0)) + 1, fitting, left)


def part_of(name: str, parts: tuple[str, ...]) -> bool:
    """True if a weight of this name belongs to one of these parts."""
    return any(name.startswith(f"{part}.") for part in parts)


def _below(part: str, state: State) -> State:
    return {name: value for name, value in state.items() if part_of(name, (part,))}


def _mismatch(model: LatentVariableModel, part: str, state: State, weights: State, moved: bool) -> str:
    """The first name or shape in which a part differs from that of the checkpoint; empty if there is none."""
    ours, theirs = _below(part, state), _below(part, weights)
    if not ours:
        known = ", ".join(name for name, _ in model.named_children() if _below(name, state))
        return f"this model has no weights of that name (it has {known}, and parts of those, as in posterior.encoder)"
    for name, value in ours.items():
        if name not in theirs:
            return f"{name} is not in it"
        if value.shape != theirs[name].shape:
            return f"{name} is {_shape(value)} here and {_shape(theirs[name])} there"
    if more := [name for name in theirs if name not in ours]:
        return f"{more[0]} is there only"
    pieces = [piece for piece in model.get_submodule(part).modules() if isinstance(piece, Capable)]
    if moved and any("per_example" in piece.provides for piece in pieces):
        return "its rows belong to the examples of other data"
    return ""


def _shape(value: Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "a number"
