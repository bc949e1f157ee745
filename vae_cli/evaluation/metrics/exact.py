"""Exact log-likelihoods, where the density of the data or of the model is known."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.distributed import process_group
from vae_cli.evaluation import numbers
from vae_cli.evaluation.linear_gaussian import LinearGaussian, linear_gaussian, linear_mixture
from vae_cli.evaluation.metrics.metric import Context, EncodedBatch, Metric, Values


class Exact(Metric):
    """log p(x) under the density of the data, and under a model with a linear Gaussian decoder."""

    title = "exact answers"
    prefix = "exact"
    numbers: ClassVar = numbers.EXACT

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.kept: list[Tensor] = []

    @classmethod
    def applies(cls, context: Context) -> bool:
        model = context.model
        return context.data.exact is not None or bool(linear_gaussian(model) or linear_mixture(model))

    def measure(self, part: EncodedBatch) -> dict[str, Tensor]:
        return {"index": part.batch.index}

    def update(self, part: EncodedBatch, measured: dict[str, Tensor]) -> None:
        self.kept.append(measured["index"])

    def gather(self) -> None:
        own = [index.cpu() for index in self.kept]
        self.kept = [index for parts in process_group.all_gather_object(own) for index in parts]

    @cached_property
    def linear(self) -> LinearGaussian | None:
        """The model if it is linear-Gaussian."""
        return linear_gaussian(self.context.model)

    def compute(self) -> Values:
        model = self.context.model
        numbers: Values = {}
        if self.linear and (gap := model.posterior.best_gap(self.linear.precision)) is not None:
            numbers["posterior_gap"] = gap
        kept = torch.cat(self.kept).to(self.context.device)
        parts = [batch.rows(torch.isin(batch.index, kept)) for batch in self.context.loader()]
        x = torch.cat([part.x.flatten(1).cpu() for part in parts])
        for name, values in self._values(x.double()).items():
            numbers[name] = float(values.mean())
            if len(values) > 1:
                numbers[f"{name}_se"] = float((values.var() / len(values)).sqrt())
        return numbers

    def _values(self, x: Tensor) -> dict[str, Tensor]:
        """log p(x) by name, (N,) each, for x (N, D)."""
        model, values = self.context.model, {}
        if (exact := self.context.data.exact) is not None:
            values["log_likelihood"] = exact.log_prob(model.likelihood.original(x))
        if (density := self._density()) is not None:
            units = model.likelihood.standardisation
            values["model_log_likelihood"] = density.log_prob(x) - (units.log_scale if units else 0.0)
        return values

    def _density(self) -> Distribution | None:
        return self.linear.marginal() if self.linear else linear_mixture(self.context.model)
