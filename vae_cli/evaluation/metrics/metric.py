"""The base class of the parts of an evaluation, and the objects that the parts share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.batch import Batch
from vae_cli.config.schema import EvaluateConfig
from vae_cli.datasets import BatchLoader, Data
from vae_cli.distributions.overflow import named
from vae_cli.errors import warn
from vae_cli.evaluation.averages import Means, with_errors
from vae_cli.evaluation.numbers import Number
from vae_cli.models.model import LatentVariableModel

Values = dict[str, float | list[float]]


def warn_left_out(name: str, left_out: Sequence[int]) -> None:
    """Warn of examples that have numbers that are not finite."""
    if left_out:
        warn(
            f"{name}: the numbers of {named(left_out)}, counted from 0, are not finite under this model "
            f"({len(left_out)} in all); the means leave them out"
        )


@dataclass(frozen=True)
class Context:
    """A model, its data, and the settings of an evaluation; at most `limit` batches of the split."""

    model: LatentVariableModel
    data: Data
    settings: EvaluateConfig
    device: torch.device
    limit: int | None = None

    def loader(self, rank: int = 0, processes: int = 1) -> BatchLoader:
        """The batches of the split, in order; with several processes the share of one of them."""
        return self.data.loader(
            self.settings.split,
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            shuffle=False,
            device=self.device,
            limit=self.limit,
            rank=rank,
            processes=processes,
            whole=processes > 1,
        )


@dataclass(frozen=True)
class EncodedBatch:
    """A batch, encoded once for all metrics; `rows` = samples x examples fit into memory at a time."""

    model: LatentVariableModel
    batch: Batch
    rows: int

    @cached_property
    def q(self) -> Distribution:
        """q(z|x), batch shape (B,)."""
        return self.model.encode(self.batch)

    @cached_property
    def prior(self) -> Distribution:
        """p(z), batch shape ()."""
        return self.model.prior()


class Metric:
    """One part of an evaluation: some numbers of a split. By default the means of per-example numbers.

    For each batch `measure` computes without a change of state, because it runs again where memory runs out or where
    an example is left out; `update` then adds what it returned.

    Attributes:
        title: name of the part in a warning that its numbers are left out
        numbers: the keys that `compute` may return; `NAME_se` is the standard error of NAME
        prefix: of the keys; None for that of the split
        per_example: `measure` returns one row for each example, and an example with a row that is not finite is left
            out of all metrics
    """

    title: ClassVar[str]
    numbers: ClassVar[tuple[Number, ...]]
    prefix: ClassVar[str | None] = None
    per_example: ClassVar[bool] = True

    def __init__(self, context: Context) -> None:
        self.context = context
        self.means = Means()

    @classmethod
    def applies(cls, context: Context) -> bool:
        """True if the model and the data have these numbers."""
        raise NotImplementedError

    def measure(self, part: EncodedBatch) -> dict[str, Tensor]:
        """Tensors (B, ...) by name for a part of a batch."""
        return {}

    def update(self, part: EncodedBatch, measured: dict[str, Tensor]) -> None:
        """Add the tensors of `measure`; they have no rows if every example is left out."""
        if measured:
            self.means.update(measured)

    def gather(self) -> None:
        """Add the state of all processes."""
        self.means.gather()

    def compute(self) -> Values:
        """The numbers by name, on rank 0."""
        return {**with_errors(self.means.compute())}
