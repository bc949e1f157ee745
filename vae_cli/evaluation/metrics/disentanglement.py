"""Scores of disentanglement of a split whose factors are known."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar

from vae_cli.distributions.overflow import finite_rows
from vae_cli.evaluation.disentanglement import FEWEST, disentanglement
from vae_cli.evaluation.metrics.metric import Context, Metric, Number, Values
from vae_cli.models.model import posterior_moments


class DisentanglementScores(Metric):
    """Scores of the posterior means against the factors of the data, from `FEWEST` examples on."""

    title = "scores of disentanglement"
    numbers: ClassVar = (
        Number(
            "mig",
            "",
            "Mutual information gap: mean over factors v_k of (I(z_j; v_k) - I(z_j'; v_k)) / H(v_k), j and j' the best "
            "and the second best dimension, posterior means in 20 bins, of at most 5,000 examples.",
            "MIG",
        ),
        Number(
            "dci_disentanglement",
            "",
            "1 - entropy of a dimension's importances over factors, in random forests that predict each factor from "
            "the posterior mean.",
            "DCI disentanglement",
        ),
        Number(
            "dci_completeness",
            "",
            "1 - entropy of a factor's importances over dimensions, in the same forests.",
            "DCI completeness",
        ),
        Number(
            "dci_informativeness",
            "",
            "Mean accuracy of the forests on the half of the examples that is held out.",
            "DCI informativeness",
        ),
        Number(
            "sap",
            "",
            "Mean gap in balanced accuracy between the two dimensions that best predict a factor, by thresholds.",
            "SAP",
        ),
        Number(
            "factorvae_score",
            "",
            "Share of votes in which the active dimension that varies least among examples with a common factor "
            "names that factor; 1/F by chance for F factors.",
            "FactorVAE score",
        ),
    )

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
