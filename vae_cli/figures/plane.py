"""Projection of points of any dimension onto a plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Plane:
    """Coordinates (N, 2) for points (N, d): the points for d = 2, else the first two principal components of `points`.

    They are (N, 1) for d = 1. A single point, which has no principal components, has its first two coordinates.
    `labels` name the coordinates, with the share of the variance that a component explains.
    """

    def __init__(self, points: Tensor, symbol: str) -> None:
        self.axes: NDArray[np.floating] | None = None  # (d, 2)
        self.labels = [f"${symbol}_{{{j + 1}}}$" for j in range(points.shape[1])][:2]
        if len(points) > 1 and points.shape[1] > 2:
            x = points.double().numpy()
            variances, vectors = np.linalg.eigh(np.cov(x.T))  # the largest variance last
            top = vectors[:, [-1, -2]]
            self.mean, self.axes = x.mean(0), top * np.sign(top[np.abs(top).argmax(0), [0, 1]])
            shares = variances[[-1, -2]] / (variances.sum() or 1)  # a collapsed posterior has no variance
            self.labels = [f"principal component {j} ({share:.0%} of variance)" for j, share in enumerate(shares, 1)]

    def __call__(self, points: Tensor) -> NDArray[np.floating]:
        """The coordinates of points (N, d)."""
        return points[:, :2].numpy() if self.axes is None else (points.numpy() - self.mean) @ self.axes
