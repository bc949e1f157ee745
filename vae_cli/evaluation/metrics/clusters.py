"""Clusters of a mixture prior: assignments, their entropy, and their agreement with labels."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_cli.distributed import process_group
from vae_cli.distributions.mixtures import is_mixture, log_responsibilities
from vae_cli.evaluation import numbers
from vae_cli.evaluation.metrics.metric import Context, EncodedBatch, Metric, Values


class Agreement(NamedTuple):
    """Agreement of clusters with labels; each number is 1 if the two are equal up to names.

    Attributes:
        accuracy: of the best one-to-one matching of clusters to labels (the Hungarian method), with its standard error
        nmi: mutual information over the mean of both entropies
        ari: adjusted Rand index, 0 in expectation for random clusters
    """

    accuracy: float
    accuracy_se: float
    nmi: float
    ari: float

    @classmethod
    def of(cls, clusters: NDArray[np.integer], labels: NDArray[np.integer]) -> Agreement:
        """Agreement of clusters (N,) with labels (N,)."""
        from scipy.optimize import linear_sum_assignment
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

        counts = contingency(clusters, labels)
        accuracy = float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(labels))
        return cls(
            accuracy,
            (accuracy * (1 - accuracy) / len(labels)) ** 0.5,
            float(normalized_mutual_info_score(labels, clusters)),
            float(adjusted_rand_score(labels, clusters)),
        )


def contingency(clusters: NDArray[np.integer], labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Examples by cluster and label: a row for each cluster from 0, a column for each label that occurs, in order."""
    names, columns = np.unique(labels, return_inverse=True)
    counts = np.zeros((int(clusters.max()) + 1, len(names)), np.int64)
    np.add.at(counts, (clusters, columns), 1)
    return counts


class Clusters(Metric):
    """Assignments to the K components of a mixture prior, and the entropy of q(c|x)."""

    title = "numbers of the clusters"
    numbers: ClassVar = numbers.CLUSTERS

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.parts: list[dict[str, Tensor]] = []

    @classmethod
    def applies(cls, context: Context) -> bool:
        return context.model.infers and is_mixture(context.model.prior())

    def measure(self, part: EncodedBatch) -> dict[str, Tensor]:
        prior, labels = part.prior, part.batch.y
        assert is_mixture(prior)
        log_gamma = log_responsibilities(prior, part.q)
        entropies = torch.special.entr(log_gamma.double().exp()).sum(-1)
        known = {} if labels is None else {"labels": labels}
        return {"assigned": log_gamma.argmax(-1), "entropies": entropies, **known}

    def update(self, part: EncodedBatch, measured: dict[str, Tensor]) -> None:
        self.parts.append(measured)

    def gather(self) -> None:
        own = [{name: value.cpu() for name, value in one.items()} for one in self.parts]
        self.parts = [one for parts in process_group.all_gather_object(own) for one in parts]

    def compute(self) -> Values:
        prior = self.context.model.prior()
        assert is_mixture(prior)
        if not sum(len(one["assigned"]) for one in self.parts):
            return {}
        assigned, entropies = (torch.cat([one[name] for one in self.parts]) for name in ("assigned", "entropies"))
        weights = prior.mixture_distribution.probs.tolist()
        numbers: Values = {
            "cluster_entropy": float(entropies.mean()),
            "cluster_entropy_se": float((entropies.var(unbiased=False) / (len(entropies) - 1)).sqrt()),
            "cluster_occupancy": (torch.bincount(assigned, minlength=len(weights)) / len(assigned)).tolist(),
            "cluster_weights": weights,
        }
        if "labels" in self.parts[0]:
            labels = torch.cat([one["labels"] for one in self.parts])
            agreement = Agreement.of(assigned.numpy(), labels.numpy())
            numbers |= {f"cluster_{name}": value for name, value in agreement._asdict().items()}
        return numbers
