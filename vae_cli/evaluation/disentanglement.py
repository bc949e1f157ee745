"""Disentanglement of codes with respect to the generating factors: MIG, DCI, SAP and the FactorVAE score.

Shape legend: N examples, d latent dimensions, F factors. Codes are posterior means (N, d), factors are
integers (N, F).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.floating]
Values = NDArray[np.integer]

FEWEST, MOST = 500, 5000
"""Least and largest number of examples for the scores; with fewer a factor of sixteen values is too noisy."""

BINS = 20  # bins of equal width from the least to the largest code
TREES = 20  # trees of a forest
VOTES, DRAWS = (
    800,
    64,
)  # FactorVAE score: votes for the names of dimensions, and again for the score; examples in a vote


@dataclass(frozen=True)
class Disentanglement:
    """Scores in [0, 1]; 1 if each factor is one dimension, except SAP, which is then 1 minus the chance accuracy."""

    mig: float
    dci_disentanglement: float
    dci_completeness: float
    dci_informativeness: float
    sap: float
    factorvae_score: float


def disentanglement(codes: Codes, factors: Values, threshold: float, seed: int) -> Disentanglement:
    """All scores on at most MOST examples, chosen by `seed`; every factor must vary among them.

    A dimension is active if its variance is above the threshold.
    """
    chosen = np.random.default_rng(seed).permutation(len(codes))[:MOST]
    codes, factors = codes[chosen].astype(np.float64), factors[chosen]
    if codes.shape[1] == 1:
        codes = np.pad(codes, ((0, 0), (0, 1)))  # a gap needs a second dimension: a constant one has no information
    importance = dci(codes, factors, seed)
    return Disentanglement(
        mig(codes, factors),
        importance.disentanglement,
        importance.completeness,
        importance.informativeness,
        sap(codes, factors),
        factorvae_score(codes, factors, threshold, seed),
    )


def mig(codes: Codes, factors: Values) -> float:
    """Mutual information gap, 1/F sum_k (I(z_j; v_k) - I(z_j'; v_k)) / H(v_k) (Chen et al. 2018, section 4.1).

    j and j' are the dimensions with the largest and second largest I(z_j; v_k). z are posterior means, not draws, in
    BINS bins (Locatello et al. 2019).
    """
    from sklearn.metrics import mutual_info_score

    binned = [np.digitize(code, np.histogram_bin_edges(code, BINS)[1:-1]) for code in codes.T]
    information = np.array([[mutual_info_score(value, bins) for value in factors.T] for bins in binned])
    entropies = [mutual_info_score(value, value) for value in factors.T]
    return float((_gap(information) / entropies).mean())


def sap(codes: Codes, factors: Values) -> float:
    """Separated attribute predictability (Kumar et al. 2018, section 3): mean gap between the two best dimensions.

    A dimension predicts a factor of K values by K - 1 thresholds, fitted to one half of the examples; its score is
    the balanced accuracy on the other half.
    """
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.tree import DecisionTreeClassifier

    half = len(codes) // 2
    scores = np.empty((codes.shape[1], factors.shape[1]))
    for k, value in enumerate(factors.T):
        tree = DecisionTreeClassifier(max_leaf_nodes=len(np.unique(value)), class_weight="balanced", random_state=0)
        for j in range(codes.shape[1]):
            tree.fit(codes[:half, [j]], value[:half])
            scores[j, k] = balanced_accuracy_score(value[half:], tree.predict(codes[half:, [j]]))
    return float(_gap(scores).mean())


def _gap(scores: NDArray[np.floating]) -> NDArray[np.floating]:
    """The best minus the second best of scores (d, F) by factor, (F,)."""
    second, best = np.sort(scores, 0)[-2:]
    return best - second


@dataclass(frozen=True)
class DCI:
    """Disentanglement, completeness and informativeness."""

    disentanglement: float
    completeness: float
    informativeness: float


def dci(codes: Codes, factors: Values, seed: int) -> DCI:
    """Disentanglement, completeness and informativeness (Eastwood & Williams 2018, section 2).

    A random forest predicts each factor from all dimensions, on one half of the examples; R_jk is the importance of
    dimension j for factor k. Informativeness is the mean accuracy on the other half.
    """
    from sklearn.ensemble import RandomForestClassifier

    half = len(codes) // 2
    importance = np.empty((codes.shape[1], factors.shape[1]))
    accuracy = []
    for k, value in enumerate(factors.T):
        # all dimensions at each split: a tree without the informative one splits by noise
        forest = RandomForestClassifier(TREES, max_features=None, random_state=seed)  # pyright: ignore[reportArgumentType]
        forest.fit(codes[:half], value[:half])
        importance[:, k] = forest.feature_importances_
        accuracy.append(forest.score(codes[half:], value[half:]))
    return DCI(concentration(importance), concentration(importance.T), float(np.mean(accuracy)))


def concentration(importance: NDArray[np.floating]) -> float:
    """1 - H(row) / log(columns), mean over rows weighted by their sums; rows of zeros do not count."""
    from scipy.stats import entropy

    rows = importance[importance.sum(1) > 0]
    if not len(rows):
        return 0.0
    return float(np.average(1 - entropy(rows, axis=1) / math.log(rows.shape[1]), weights=rows.sum(1)))


def factorvae_score(codes: Codes, factors: Values, threshold: float, seed: int) -> float:
    """FactorVAE score (Kim & Mnih 2018, section 4): 1/F is chance.

    A vote is the dimension with the least variance, relative to all examples, among DRAWS examples with one value of
    a random factor. Other votes give each dimension its most frequent factor. The score is the share of votes whose
    factor is that of their dimension. Dimensions that are not active are left out.
    """
    scaled = codes[:, codes.var(0) > threshold]
    if not scaled.shape[1]:
        return 1 / factors.shape[1]
    scaled = scaled / scaled.std(0)
    rng = np.random.default_rng(seed)
    names = _votes(scaled, factors, rng).argmax(1)
    votes = _votes(scaled, factors, rng)
    return float(votes[np.arange(len(votes)), names].sum() / VOTES)


def _votes(scaled: Codes, factors: Values, rng: np.random.Generator) -> Values:
    """Counts of the votes: dimension i varies least while factor k is fixed, (d, F)."""
    votes = np.zeros((scaled.shape[1], factors.shape[1]), np.int64)
    for example, factor in zip(
        rng.integers(len(factors), size=VOTES), rng.integers(factors.shape[1], size=VOTES), strict=True
    ):
        matching = np.flatnonzero(factors[:, factor] == factors[example, factor])
        votes[scaled[rng.choice(matching, DRAWS)].var(0).argmin(), factor] += 1
    return votes
