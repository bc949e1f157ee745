"""The formats of an export: each writes a part and reads it back as a function of arrays, which is then compared."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.commands.export.parts import Part

Written = Callable[[dict[str, Tensor]], Sequence[Any]]
"""A part that was read back from its file: from the inputs by name to its outputs, arrays."""


def onnx(part: Part, inputs: dict[str, Tensor], path: Path) -> Written:
    """An ONNX graph, run by onnxruntime."""
    import onnxruntime

    program = traced(part, inputs).run_decompositions(_decompositions())
    with _quiet():
        exported = torch.onnx.export(
            program, input_names=part.inputs, output_names=part.outputs, dynamo=True, external_data=False
        )
    assert exported is not None
    exported.save(path)
    session = onnxruntime.InferenceSession(path)
    return lambda values: session.run(None, {name: value.numpy() for name, value in values.items()})


def torch_program(part: Part, inputs: dict[str, Tensor], path: Path) -> Written:
    """A program of torch.export, run by torch alone."""
    torch.export.save(traced(part, inputs), path)
    module = torch.export.load(path).module()
    return lambda values: [value.numpy() for value in module(*values.values())]


@torch.no_grad()
def traced(part: Part, inputs: dict[str, Tensor]) -> torch.export.ExportedProgram:
    """The operations of a part, for any number of rows; of a flow, whose moments are sums over points, up to a few."""
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs)
    with _unchecked(), _quiet():
        part(*inputs.values())  # fills the caches of constants, which a trace must not fill
        return torch.export.export(part, tuple(inputs.values()), dynamic_shapes=shapes, strict=False)


def _decompositions() -> Any:
    """Those of torch, and one for distances, for which ONNX has no operation."""
    table = torch.export.default_decompositions()
    table[torch.ops.aten._cdist_forward.default] = _distances
    return table


def _distances(a: Tensor, b: Tensor, p: float, compute_mode: int | None) -> Tensor:
    """Euclidean distances (N, M) of a (N, D) and b (M, D)."""
    return (a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1).sqrt()


@contextmanager
def _unchecked() -> Iterator[None]:
    """Distributions without checks of their arguments, whose outcome depends on values that a trace does not have."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress lines and the warnings of the exporters."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


GRAPHS: dict[str, tuple[Callable[[Part, dict[str, Tensor], Path], Written], str]] = {
    "onnx": (onnx, ".onnx"),
    "torch": (torch_program, ".pt2"),
}
"""By format, how a part is written, and the suffix of its file."""


def called(part: Part) -> Written:
    """A part itself, on arrays."""

    @torch.no_grad()
    def run(values: dict[str, Tensor]) -> list[NDArray[Any]]:
        return [value.numpy() for value in part(*values.values())]

    return run


def difference(found: Sequence[Any], wanted: Sequence[Any]) -> float:
    """The largest |a - b| / (1 + |b|) of arrays a and b."""
    return max(
        float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)) / (1 + np.abs(b)), initial=0.0))
        for a, b in zip(found, wanted, strict=True)
    )
