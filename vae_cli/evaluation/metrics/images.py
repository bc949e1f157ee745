"""Distances in the space of x: reconstruction error, and MMD between samples and data."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vae_cli.distributed import process_group
from vae_cli.evaluation import numbers
from vae_cli.evaluation.metrics.metric import Context, EncodedBatch, Metric, Values
from vae_cli.objectives.divergences import RBFMMD

COMPARED = 2000
"""Examples that sample_mmd compares; its time grows with their square."""


class Reconstruction(Metric):
    """Squared error of E[x|z] at the posterior mean, in the units of the data."""

    title = "reconstruction error"
    numbers: ClassVar = numbers.RECONSTRUCTION

    @classmethod
    def applies(cls, context: Context) -> bool:
        return context.model.infers

    def measure(self, part: EncodedBatch) -> dict[str, Tensor]:
        error = part.model.decode(part.q.mean.unsqueeze(0)).mean[0] - part.batch.x
        if units := part.model.likelihood.standardisation:
            error = units.deviation(error)
        return {"reconstruction_error": error.square().flatten(1).sum(1)}


class SampleMMD(Metric):
    """Squared MMD between means E[x|z], z ~ p(z), and data, for a model without an encoder (Gretton et al. 2012)."""

    title = "sample_mmd"
    per_example = False
    numbers: ClassVar = numbers.SAMPLE_MMD

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.parts: list[tuple[Tensor, Tensor]] = []

    @classmethod
    def applies(cls, context: Context) -> bool:
        return not context.model.infers

    def measure(self, part: EncodedBatch) -> dict[str, Tensor]:
        if sum(len(samples) for samples, _ in self.parts) >= COMPARED:
            return {}
        return {"samples": part.model.sample(len(part.batch)), "x": part.batch.x}

    def update(self, part: EncodedBatch, measured: dict[str, Tensor]) -> None:
        if measured:
            samples, x = (measured[name].flatten(1).float().cpu() for name in ("samples", "x"))
            self.parts.append((samples, x))

    def gather(self) -> None:
        self.parts = [part for parts in process_group.all_gather_object(self.parts) for part in parts]

    def compute(self) -> Values:
        sides = zip(*self.parts, strict=True)
        samples, x = (torch.cat(side)[:COMPARED].to(self.context.device) for side in sides)
        return {"sample_mmd": float(RBFMMD(bandwidths=None, unbiased=True)(samples, x))} if len(x) > 1 else {}
