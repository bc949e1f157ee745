"""Averages over a data set, weighted by examples; `gather` adds what other processes have, where there are any."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from torch import Tensor

from vae_cli.distributed import process_group
from vae_cli.models.codebooks import Usage
from vae_cli.models.trace import total


class Mean(NamedTuple):
    """A mean over examples and its standard error."""

    mean: float
    standard_error: float


class Sums:
    """Count, sum and sum of squares of vectors, in float64."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all."""
        self.count, self.sums, self.squares = (torch.zeros((), dtype=torch.float64) for _ in range(3))

    def add(self, values: Tensor) -> None:
        """Add values (K, B)."""
        values = values.double()
        self.count = self.count + values.shape[1]
        self.sums = self.sums + values.sum(1)
        self.squares = self.squares + values.square().sum(1)

    def gather(self) -> None:
        """Add those of all processes."""
        parts = process_group.all_gather_object([value.cpu() for value in (self.count, self.sums, self.squares)])
        self.count, self.sums, self.squares = (total(states) for states in zip(*parts, strict=True))


class Means(Sums):
    """Means of named per-image values, in float64, each with its standard error s / sqrt(N) over the examples."""

    def reset(self) -> None:
        """Forget all."""
        super().reset()
        self.names: tuple[str, ...] = ()

    def gather(self) -> None:
        """Add those of all processes, of which some may have none."""
        super().gather()
        self.names = next(filter(None, process_group.all_gather_object(self.names)), ())

    def update(self, values: dict[str, Tensor]) -> None:
        """Add values (B,) by name; the names are the same at every call."""
        self.names = tuple(values)
        self.add(torch.stack(list(values.values())))

    def compute(self) -> dict[str, Mean]:
        """The means so far."""
        means = self.sums / self.count
        variances = (self.squares / self.count - means.square()).clamp(min=0)
        errors = (variances / (self.count - 1)).sqrt()  # NaN for a single example: it is not known
        return {
            name: Mean(mean, error)
            for name, mean, error in zip(self.names, means.tolist(), errors.tolist(), strict=True)
        }


class ActiveUnits(Sums):
    """Latent dimensions whose posterior mean varies over the data: Var_x(E_q[z_j]) > threshold (Burda et al. 2015)."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def update(self, means: Tensor) -> None:
        """Add posterior means (B, d)."""
        self.add(means.flatten(1).T)

    def compute(self) -> int:
        """How many are active."""
        variances = self.squares / self.count - (self.sums / self.count).square()
        return int((variances > self.threshold).sum())


class CodeCounts:
    """Counts of the K codes of a codebook over n sites of each example."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all."""
        self.n_positions, self.counts = 0, torch.zeros(0, dtype=torch.int64)

    @property
    def counted(self) -> bool:
        """Whether there are any."""
        return self.n_positions > 0

    def gather(self) -> None:
        """Add those of all processes, of which some may have none."""
        self.counts = self.counts.cpu()
        parts = [part for part in process_group.all_gather_object((self.n_positions, self.counts)) if part[0]]
        if parts:
            self.n_positions, self.counts = parts[0][0], total(counts for _, counts in parts)

    def update(self, n_positions: int, counts: Tensor) -> None:
        """Add counts (K,) over so many sites of each example."""
        self.counts = self.counts + counts if self.counted else counts
        self.n_positions = n_positions

    def compute(self) -> dict[str, float]:
        """How the codes are used, and the rate n log K of equally likely ones; nothing where there are none."""
        if not self.counted:
            return {}
        usage = {f"code_{name}": float(value) for name, value in Usage.of(self.counts)._asdict().items()}
        return {**usage, "code_uniform_rate": self.n_positions * math.log(len(self.counts))}


class Agreement(NamedTuple):
    """How clusters agree with labels that they never saw; each is 1 where they are the same up to names.

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
        """Of clusters and labels, (N,) each."""
        counts = contingency(clusters, labels)
        accuracy = float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(labels))
        return cls(
            accuracy,
            (accuracy * (1 - accuracy) / len(labels)) ** 0.5,
            float(normalized_mutual_info_score(labels, clusters)),
            float(adjusted_rand_score(labels, clusters)),
        )


def contingency(clusters: NDArray[np.integer], labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Examples by cluster and label, a row for each cluster from 0 and a column for each label there is, in order."""
    names, columns = np.unique(labels, return_inverse=True)
    counts = np.zeros((int(clusters.max()) + 1, len(names)), np.int64)
    np.add.at(counts, (clusters, columns), 1)
    return counts


class Clustering(NamedTuple):
    """What the responsibilities of a split say.

    entropy: mean entropy of q(c|x), nats; 0 where every example is sure of its cluster, log K where none is
    occupancy: share of examples assigned to each component, (K,)
    agreement: with labels, where there are any
    """

    entropy: float
    entropy_se: float
    occupancy: list[float]
    agreement: Agreement | None


class Clusters:
    """Assignments to the K components of a mixture prior, the entropy of q(c|x), and labels where there are any."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all."""
        self.components = 0
        self.assigned: list[Tensor] = []
        self.entropies: list[Tensor] = []
        self.labels: list[Tensor] = []

    def gather(self) -> None:
        """Add those of all processes, in their order."""
        self.components = max(process_group.all_gather_object(self.components))
        for name in ("assigned", "entropies", "labels"):
            parts = process_group.all_gather_object([one.cpu() for one in getattr(self, name)])
            setattr(self, name, [one for part in parts for one in part])

    def update(self, log_gamma: Tensor, labels: Tensor | None) -> None:
        """Add log responsibilities (B, K) and labels (B,)."""
        self.components = log_gamma.shape[-1]
        self.assigned.append(log_gamma.argmax(-1))
        self.entropies.append(torch.special.entr(log_gamma.double().exp()).sum(-1))
        if labels is not None:
            self.labels.append(labels)

    def compute(self) -> Clustering:
        """The numbers of all batches so far."""
        assigned, entropies = torch.cat(self.assigned).cpu(), torch.cat(self.entropies).cpu()
        labels = torch.cat(self.labels).cpu().numpy() if self.labels else None
        return Clustering(
            float(entropies.mean()),
            float((entropies.var(unbiased=False) / (len(entropies) - 1)).sqrt()),  # NaN for a single example
            (torch.bincount(assigned, minlength=self.components) / len(assigned)).tolist(),
            None if labels is None else Agreement.of(assigned.numpy(), labels),
        )
