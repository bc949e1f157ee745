"""Points of many dimensions in few, neighbours kept together."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating]

EPOCHS = 200
"""Of UMAP's optimisation: its default for many points, and enough for few, where its default is 500."""


def umap_embedding(points: Points, dimensions: int, neighbours: int, min_dist: float, seed: int) -> Points:
    """UMAP (McInnes et al. 2018) of points (N, d): (N, dimensions), the same for the same seed.

    One thread, because UMAP repeats itself in no other way. The spectral start needs more points than dimensions;
    few points start at random.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on an optional package, on threads, on its choice of a start
        import umap  # takes seconds

        reducer = umap.UMAP(
            n_components=dimensions,
            n_neighbors=min(neighbours, len(points) - 1),
            min_dist=min_dist,
            n_epochs=EPOCHS,
            init="spectral" if len(points) > 10 * dimensions else "random",
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(reducer.fit_transform(points.astype(np.float32)), dtype=np.float64)
