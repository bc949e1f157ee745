"""Initialisation of the components of a mixture prior by clusters of the codes of the training set.

Shape legend: N training examples, d latent dimensions, K components.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_cli.capabilities import Capable
from vae_cli.errors import UserError
from vae_cli.evaluation.umap_embedding import Points, umap_embedding
from vae_cli.models.model import LatentVariableModel, PosteriorMoments
from vae_cli.objectives import FixedAssignments
from vae_cli.training.phases import Phase, TrainingCodes
from vae_cli.types import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt, SeveralInt

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

Labels = NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class Initialisation(Capable, ABC):
    """Clusters the codes, gives each component the moments of a cluster, and trains some epochs with fixed clusters.

    Args:
        points: number of codes that are clustered at most, chosen at random; the others get the label of their nearest
            neighbours among them
        restarts: starts of expectation-maximisation; the one of largest likelihood is kept
        fixed_epochs: epochs with q(c|x) fixed at the clusters, before training by the objective
        classification_weight: weight of -log p(c|z) at the fixed cluster c
        augmentation: size of the random shifts of images before z in that term is encoded, in [0, 1]
    """

    requires: ClassVar = {"posterior": ("entropy", "encoder"), "prior": ("mixture",)}

    points: PositiveInt
    restarts: PositiveInt
    fixed_epochs: NonNegativeInt
    classification_weight: NonNegativeFloat
    augmentation: Fraction

    @abstractmethod
    def assign(self, codes: Points, components: int, seed: int) -> Labels:
        """A cluster in 0..K-1 for each of the codes (N, d)."""

    def extend(self, phases: Sequence[Phase], model: LatentVariableModel) -> list[Phase]:
        """Training with the fixed clusters before the first of `phases`, unless fixed_epochs is 0."""
        first, *others = phases
        held = FixedAssignments(
            first.objective.annealing,
            beta=first.objective.elbo_beta,
            classification_weight=self.classification_weight,
            augmentation=self.augmentation,
        )

        def begin(model: LatentVariableModel, training: TrainingCodes) -> None:
            components = model.prior.components
            held.assignments = self._assignments(training, components)
            model.prior.set_components(*moments(training.codes, held.assignments, components))

        if not self.fixed_epochs:
            return [replace(first, on_start=begin), *others]
        fixed = Phase("fixed clusters", self.fixed_epochs, held, begin)
        return [fixed, replace(first, continues_schedule=True), *others]

    def _assignments(self, training: TrainingCodes, components: int) -> Tensor:
        """A cluster for each training example, (N,)."""
        z = training.codes.means.double().numpy()
        if not np.isfinite(z).all():
            raise UserError("the codes to be clustered hold NaN or infinite values; use a lower optimizer.lr")
        if not z.std():
            raise UserError(
                "the codes to be clustered are all equal: the encoder has collapsed; use a lower optimizer.lr"
            )
        order = np.random.default_rng(training.seed).permutation(len(z))
        chosen, others = np.split(order, [max(2 * components, min(self.points, training.limit))])
        chosen.sort()
        labels = np.empty(len(z), np.int64)
        labels[chosen] = self.assign(z[chosen], components, training.seed)
        if len(others):
            from sklearn.neighbors import KNeighborsClassifier

            nearest = KNeighborsClassifier(min(15, len(chosen))).fit(z[chosen], labels[chosen])
            labels[others] = nearest.predict(z[others])
        return torch.from_numpy(labels)


@dataclass(frozen=True, kw_only=True)
class CodesMixture(Initialisation):
    """A Gaussian mixture on the codes themselves."""

    def assign(self, codes: Points, components: int, seed: int) -> Labels:
        return _fitted(codes, components, self.restarts, seed).predict(codes)


@dataclass(frozen=True, kw_only=True)
class UmapMixture(Initialisation):
    """A Gaussian mixture on a UMAP embedding of the codes (McConville et al. 2019, "N2D").

    Args:
        dimensions: dimensions of the embedding
        neighbours: neighbours of each point in UMAP's graph
    """

    dimensions: PositiveInt
    neighbours: SeveralInt

    def assign(self, codes: Points, components: int, seed: int) -> Labels:
        embedding = umap_embedding(codes, self.dimensions, self.neighbours, 0.0, seed)
        return _fitted(embedding, components, self.restarts, seed).predict(embedding)


def _fitted(points: Points, components: int, restarts: int, seed: int) -> GaussianMixture:
    """Expectation-maximisation with full covariances; the start of largest likelihood."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(components, n_init=restarts, random_state=seed, reg_covar=1e-6 * points.var())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a start that has not converged counts too
        return mixture.fit(points)


def moments(codes: PosteriorMoments, labels: Tensor, components: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (K,), means (K, d) and variances (K, d) of clusters of q(z|x).

    The variance of a cluster is the variance of its means plus the mean of its variances, which maximises
    E_q log p(z|c). Each empty cluster starts at another code with the variance of all codes, because components that
    start equal stay equal.
    """
    weights, means, variances = [], [], []
    for k in range(components):
        members = labels == k
        source = members if members.any() else torch.ones_like(members)
        centres = codes.means[source]
        weights.append(max(int(members.sum()), 1))
        means.append(centres.mean(0) if members.any() else centres[k % len(centres)])
        variances.append(centres.var(0, unbiased=False) + codes.variances[source].mean(0))
    counts = torch.tensor(weights)
    return counts / counts.sum(), torch.stack(means), torch.stack(variances)
