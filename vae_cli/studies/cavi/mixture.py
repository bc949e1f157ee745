"""A Bayesian Gaussian mixture (Bishop 2006, section 10.2; equation numbers are his).

Shape legend: N points, D dimensions, K components.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, logsumexp, xlogy
from sklearn.cluster import KMeans

from vae_cli.errors import UserError
from vae_cli.figures.style import CLASSES, GREY
from vae_cli.studies.cavi.ascent import Step, Study
from vae_cli.studies.cavi.figure import beside_elbo, ellipse
from vae_cli.studies.number_files import read_numbers
from vae_cli.types import PositiveFloat, PositiveInt, Seed

Array = NDArray[np.float64]


class GaussianMixture(Study):
    """pi ~ Dir(a0), L_k ~ Wishart(W0, nu0), mu_k ~ N(m0, (b0 L_k)^-1), z_n ~ Cat(pi), x_n ~ N(mu_k, L_k^-1).

    q = q(z) q(pi) prod_k q(mu_k, L_k), of the same families, starts at the clusters of k-means. m0 and W0^-1 are mean
    and covariance of the data, nu0 = D.

    Args:
        path: file of points in rows; null: 300 points of three clusters
        components: K
        seed: of k-means and of the generated points
        concentration: a0 of each component
        precision: b0
    """

    def __init__(
        self,
        *,
        path: str | None,
        components: PositiveInt,
        concentration: PositiveFloat,
        precision: PositiveFloat,
        seed: Seed,
    ) -> None:
        self.x = generated(seed) if path is None else read_numbers("study.path", path)
        if self.x.ndim != 2 or len(self.x) <= self.x.shape[1]:
            raise UserError(f"study.path={path}: expected points in rows, more than columns; it holds {self.x.shape}")
        if len(self.x) <= components:
            raise UserError(f"study.components={components}: expected fewer than there are points, {len(self.x)}")
        self.a0, self.b0, self.nu0 = concentration, precision, float(self.x.shape[1])
        self.m0, self.inverse0 = self.x.mean(0), np.cov(self.x.T).reshape(2 * [self.x.shape[1]])
        if np.linalg.eigvalsh(self.inverse0)[0] <= 0:
            raise UserError(f"study.path={path}: the points lie in fewer dimensions than they have; remove columns")
        labels = KMeans(components, n_init="auto", random_state=seed).fit_predict(self.x)
        self.r: Array = np.eye(components)[labels]  # q(z_n = k), (N, K)
        self._set_weights()
        self._set_components()

    def sweep(self) -> Iterator[str]:
        """Update q(z), q(pi), then all q(mu_k, L_k), which are independent."""
        self.r = np.exp(self._log_joint() - logsumexp(self._log_joint(), axis=1, keepdims=True))
        yield "q(z)"
        self._set_weights()
        yield "q(pi)"
        self._set_components()
        yield "q(mu, L)"

    def _set_weights(self) -> None:
        """Dir(a), a_k = a0 + N_k (10.57)."""
        self.a: Array = self.a0 + self.r.sum(0)

    def _set_components(self) -> None:
        """Normal-Wishart (10.58 to 10.63)."""
        counts = self.r.sum(0)
        means = self.r.T @ self.x / np.maximum(counts, 1e-300)[:, None]
        away = self.x[:, None] - means
        scatter = np.einsum("nk,nki,nkj->kij", self.r, away, away)
        shift = means - self.m0
        self.b: Array = self.b0 + counts
        self.nu: Array = self.nu0 + counts
        self.m: Array = (self.b0 * self.m0 + counts[:, None] * means) / self.b[:, None]
        pull = (self.b0 * counts / self.b)[:, None, None] * np.einsum("ki,kj->kij", shift, shift)
        self.inverse: Array = self.inverse0 + scatter + pull  # W_k^-1

    @property
    def _log_pi(self) -> Array:
        """E log pi_k (10.66)."""
        return digamma(self.a) - digamma(self.a.sum())

    @property
    def _log_det(self) -> Array:
        d = self.x.shape[1]
        spread = digamma((self.nu[:, None] - np.arange(d)) / 2).sum(1)
        return spread + d * math.log(2) - np.linalg.slogdet(self.inverse)[1]

    def _log_joint(self) -> Array:
        """E log pi_k N(x_n; mu_k, L_k^-1), (N, K) (10.46, 10.64)."""
        d = self.x.shape[1]
        away = self.x[:, None] - self.m
        distance = self.nu * np.einsum("nki,kij,nkj->nk", away, np.linalg.inv(self.inverse), away) + d / self.b
        return self._log_pi + 0.5 * (self._log_det - d * math.log(2 * math.pi) - distance)

    @property
    def elbo(self) -> float:
        """E log p(x, z, pi, mu, L) - E log q (10.70)."""
        assigned = float((self.r * self._log_joint()).sum() - xlogy(self.r, self.r).sum())
        k, d = self.m.shape
        weights = gammaln(k * self.a0) - k * gammaln(self.a0) - gammaln(self.a.sum()) + gammaln(self.a).sum()
        weights += float((self.a0 - self.a) @ self._log_pi)
        shift = self.m - self.m0
        w = np.linalg.inv(self.inverse)
        distance = self.nu * np.einsum("ki,kij,kj->k", shift, w, shift) + d / self.b
        means = 0.5 * (d * np.log(self.b0 / self.b) + d - self.b0 * distance)
        spread = 0.5 * (self.nu0 - self.nu) * self._log_det
        spread += _log_normaliser(np.array([self.inverse0]), np.array([self.nu0])) - _log_normaliser(
            self.inverse, self.nu
        )
        spread += 0.5 * self.nu * (d - np.einsum("ij,kji->k", self.inverse0, w))
        return assigned + float(weights) + float((means + spread).sum())

    @property
    def _covariances(self) -> Array:
        """W_k^-1 / nu_k = (E L_k)^-1 (B.80), of the expected precision; not E L_k^-1 = W_k^-1 / (nu_k - D - 1)."""
        return self.inverse / self.nu[:, None, None]

    def findings(self) -> dict[str, Any]:
        """E pi_k, E mu_k and (E L_k)^-1 under q, as scikit-learn's `covariances_`; the largest components first."""
        order = np.argsort(-self.a)
        return {
            "weights": (self.a / self.a.sum())[order].tolist(),
            "means": self.m[order].tolist(),
            "covariances": self._covariances[order].tolist(),
        }

    def figure(self, steps: list[Step]) -> Figure:
        """The first two dimensions: points by component, and the 2-sigma ellipse of each component above 1 %."""
        figure, axes = beside_elbo(steps)
        colours = np.array(CLASSES)[self.r.argmax(1) % len(CLASSES)]
        axes.scatter(self.x[:, 0], self.x[:, min(1, self.x.shape[1] - 1)], s=4, c=colours, linewidths=0)
        for weight, mean, covariance in zip(self.a / self.a.sum(), self.m, self._covariances, strict=True):
            if weight > 0.01 and self.x.shape[1] > 1:
                ellipse(axes, mean[:2], covariance[:2, :2], 2, color=GREY)
        axes.set(xlabel="$x_1$", ylabel="$x_2$")
        return figure


def _log_normaliser(inverse: Array, nu: Array) -> Array:
    """log B(W, nu) of Wishart distributions, (K,) (B.79)."""
    d = inverse.shape[-1]
    log_det = np.linalg.slogdet(inverse)[1]
    return 0.5 * nu * log_det - 0.5 * nu * d * math.log(2) - _log_multigamma(nu / 2, d)


def _log_multigamma(a: Array, d: int) -> Array:
    """log Gamma_d(a)."""
    return 0.25 * d * (d - 1) * math.log(math.pi) + gammaln(a[:, None] - 0.5 * np.arange(d)).sum(1)


def generated(seed: int) -> Array:
    """300 points from three correlated Gaussians in the plane."""
    random = np.random.default_rng(seed)
    means, angles = [(-3.0, 0.0), (2.0, 2.0), (1.0, -3.0)], (0.4, 1.6, 2.6)
    clusters = []
    for mean, angle in zip(means, angles, strict=True):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        clusters.append(mean + random.normal(size=(100, 2)) * (1.2, 0.4) @ turn.T)
    return np.concatenate(clusters)
