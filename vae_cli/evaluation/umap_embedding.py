"""Points of many dimensions in few, neighbours kept together."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

Points = NDArray[np.floating]

EPOCHS = 200
"""Epochs of UMAP: its default for many points, and enough for few, where its default is 500."""
FEW = 4096
"""Points below which UMAP searches no neighbours but takes all distances, one by one in Python."""


def umap_embedding(points: Points, dimensions: int, neighbours: int, min_dist: float, seed: int) -> Points:
    """UMAP (McInnes et al. 2018) of points (N, d): (N, dimensions), the same for the same seed.

    One thread, because UMAP repeats itself in no other way. The spectral start needs more points than dimensions;
    few points start at random.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on an optional package, on threads, on its choice of a start
        import umap  # takes seconds

        count = min(neighbours, len(points) - 1)
        reducer = umap.UMAP(
            n_components=dimensions,
            n_neighbors=count,
            min_dist=min_dist,
            n_epochs=EPOCHS,
            init="spectral" if len(points) > 10 * dimensions else "random",
            random_state=seed,
            n_jobs=1,
            precomputed_knn=_nearest(points, count) if len(points) < FEW else (None, None, None),
        )
        return np.asarray(reducer.fit_transform(points.astype(np.float32)), dtype=np.float64)


def _nearest(points: Points, count: int) -> tuple[NDArray[np.integer], Points, None]:
    """Indices and distances of the nearest points of each, itself the first; no index for later searches."""
    distances, indices = NearestNeighbors(n_neighbors=count).fit(points).kneighbors(points)
    return indices, distances, None
