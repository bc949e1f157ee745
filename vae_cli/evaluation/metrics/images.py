"""Distances in the space of x: reconstruction error, and MMD between samples and data."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

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
        self.x: list[Tensor] = []
        self.samples: list[Tensor] = []

    @classmethod
    def applies(cls, context: Context) -> bool:
        return not context.model.infers

    def measure(self, part: EncodedBatch) -> dict[str, Tensor]:
        x = part.batch.part(0, COMPARED - sum(map(len, self.x))).x
        return {"x": x, "samples": part.model.sample(len(x))} if len(x) else {}

    def update(self, part: EncodedBatch, measured: dict[str, Tensor]) -> None:
        if measured:
            self.x.append(measured["x"].flatten(1).float())
            self.samples.append(measured["samples"].flatten(1).float())

    def compute(self) -> Values:
        x, samples = torch.cat(self.x), torch.cat(self.samples)
        return {"sample_mmd": float(RBFMMD(bandwidths=None, unbiased=True)(samples, x))} if len(x) > 1 else {}
