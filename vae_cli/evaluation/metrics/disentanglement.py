"""Scores of disentanglement of a split whose factors are known."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar

from vae_cli.distributions.overflow import finite_rows
from vae_cli.evaluation import numbers
from vae_cli.evaluation.disentanglement import FEWEST, disentanglement
from vae_cli.evaluation.metrics.metric import Context, Metric, Values
from vae_cli.models.model import posterior_moments


class DisentanglementScores(Metric):
    """Scores of the posterior means against the factors of the data, from `FEWEST` examples on."""

    title = "scores of disentanglement"
    numbers: ClassVar = numbers.DISENTANGLEMENT

    @classmethod
    def applies(cls, context: Context) -> bool:
        known = getattr(context.data, context.settings.split).factors is not None
        return known and context.model.infers and context.model.is_continuous

    def compute(self) -> Values:
        settings = self.context.settings
        factors = getattr(self.context.data, settings.split).factors.values
        means = posterior_moments(self.context.model, self.context.loader()).means
        finite = finite_rows([means])
        if finite.sum() < FEWEST:
            return {}
        codes, values = means[finite].numpy(), factors[: len(means)][finite].numpy()
        return asdict(disentanglement(codes, values, settings.active_threshold, settings.seed))
