"""UMAP: an embedding of points in few dimensions that keeps neighbours together."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from vae_cli.distributed.progress import task
from vae_cli.errors import counted

Points = NDArray[np.floating]

EPOCHS = 200
"""Epochs of UMAP's optimisation: its default for many points; its default for few points, 500, is not needed."""
FEW = 4096
"""Below this number of points UMAP computes all distances, one by one in Python, so scikit-learn finds neighbours."""


def umap_embedding(points: Points, dimensions: int, neighbours: int, min_dist: float, seed: int) -> Points:
    """UMAP (McInnes et al. 2018) of points (N, d): (N, dimensions), determined by the seed.

    UMAP is reproducible with one thread only. The spectral start needs more points than dimensions; few points start
    at random.
    """
    with task(f"UMAP of {counted(len(points), 'point')}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about an optional package, threads and the start
        import umap  # the import takes seconds

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
    """UMAP's precomputed_knn: indices and distances of the neighbours of each point, itself first; no search index."""
    from sklearn.neighbors import NearestNeighbors

    distances, indices = NearestNeighbors(n_neighbors=count).fit(points).kneighbors(points)
    return indices, distances, None
