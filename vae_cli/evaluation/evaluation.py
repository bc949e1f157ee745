"""The evaluation of a split: one pass over its batches for all metrics that apply."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from hydra.utils import get_class
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.distributed import process_group
from vae_cli.distributed.progress import task
from vae_cli.distributions.overflow import counted, finite_rows
from vae_cli.evaluation.chunking import AdaptiveChunks
from vae_cli.evaluation.estimators import rows_at_once
from vae_cli.evaluation.metrics import METRICS
from vae_cli.evaluation.metrics.metric import Context, EncodedBatch, Values, warn_left_out
from vae_cli.evaluation.optional import optional


@dataclass(frozen=True)
class _Measured:
    """The tensors of each metric for the examples of a part of a batch, and the positions of those left out."""

    part: EncodedBatch
    tensors: list[dict[str, Tensor]]
    left_out: tuple[int, ...] = ()


class Evaluation:
    """Accumulates a split batch by batch; `compute` returns the numbers of all metrics that apply.

    An example with a number that is not finite is left out of all metrics; `left_out` has its position in the split.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        own = [node for node in context.settings.metrics.values() if get_class(node.target).applies(context)]
        self.metrics = [*(kind(context) for kind in METRICS if kind.applies(context)), *(n.build(context) for n in own)]
        self.rows: AdaptiveChunks | None = None
        self.examples = 0
        self.left_out: list[int] = []

    @torch.no_grad()
    def update(self, batch: Batch) -> None:
        """Add a batch, in parts that keep within the memory budget."""
        if self.rows is None:
            self.rows = self._rows(batch)
        for measured in self.rows.map(batch, self._measure):
            self.examples += len(measured.part.batch)
            self.left_out += measured.left_out
            for metric, tensors in zip(self.metrics, measured.tensors, strict=True):
                metric.update(measured.part, tensors)

    def _rows(self, batch: Batch) -> AdaptiveChunks:
        settings = self.context.settings
        rows = rows_at_once(self.context.model, batch.x.device, settings.memory_mb)
        rows.count = min(rows.count, len(batch) * max(settings.samples, settings.elbo_samples))
        return rows

    def _measure(self, batch: Batch, rows: int) -> _Measured:
        """The tensors of a part of a batch, without the examples that have a number that is not finite."""
        part = EncodedBatch(self.context.model, batch, rows)
        tensors = [metric.measure(part) for metric in self.metrics]
        checked = [one.values() for metric, one in zip(self.metrics, tensors, strict=True) if metric.per_example]
        finite = finite_rows([batch.index, *(value for values in checked for value in values)])
        if finite.all():
            return _Measured(part, tensors)
        left_out = tuple(batch.index[~finite].tolist())
        if not finite.any():
            nothing = [{name: value[:0] for name, value in one.items()} for one in tensors]
            return _Measured(replace(part, batch=batch.part(0, 0)), nothing, left_out)
        others = self._measure(batch.rows(finite), rows)
        return replace(others, left_out=left_out + others.left_out)

    def gather(self) -> None:
        """Add the state of all processes."""
        for metric in self.metrics:
            metric.gather()
        parts = process_group.all_gather_object((self.examples, self.left_out))
        self.examples = sum(examples for examples, _ in parts)
        self.left_out = sorted(index for _, left_out in parts for index in left_out)

    @torch.no_grad()
    def compute(self, prefix: str) -> Values:
        """PREFIX/NAME of all numbers; metrics with a prefix of their own keep it. A metric that fails is left out."""
        warn_left_out(f"{self.context.settings.split} split", self.left_out)
        common: Values = {"examples": self.examples} | counted(self.left_out)
        results = {f"{prefix}/{name}": value for name, value in common.items()}
        for metric in self.metrics:
            with optional(metric.title), task(metric.title):
                results |= {f"{metric.prefix or prefix}/{name}": value for name, value in metric.compute().items()}
        return results
