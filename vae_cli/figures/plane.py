"""Projection of points of any dimension onto a plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor


class Plane:
    """Coordinates (N, 2) for points (N, d): the points for d = 2, else the first two principal components of `points`.

    They are (N, 1) for d = 1. A single point, which has no principal components, has its first two coordinates.
    `labels` name the coordinates, with the share of the variance that a component explains.
    """

    def __init__(self, points: Tensor, symbol: str) -> None:
        self.pca: PCA | None = None
        self.labels = [f"${symbol}_{{{j + 1}}}$" for j in range(points.shape[1])]
        if len(points) == 1:
            self.labels = self.labels[:2]
        elif len(self.labels) > 2:
            self.pca = PCA(2, random_state=0)
            with np.errstate(invalid="ignore"):  # a collapsed posterior has no variance
                self.pca.fit(points.numpy())
            shares = np.nan_to_num(self.pca.explained_variance_ratio_)
            self.labels = [f"principal component {j} ({share:.0%} of variance)" for j, share in enumerate(shares, 1)]

    def __call__(self, points: Tensor) -> NDArray[np.float32]:
        """The coordinates of points (N, d)."""
        return points[:, :2].numpy() if self.pca is None else self.pca.transform(points.numpy())
