"""A correlated Gaussian, approximated by independent ones (Bishop 2006, section 10.1.2). d dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vae_cli.errors import UserError
from vae_cli.figures.style import BLUE, GREY, ORANGE
from vae_cli.studies.cavi.ascent import Step, Study
from vae_cli.studies.cavi.figure import beside_elbo, ellipse

Vector = NDArray[np.float64]


class CorrelatedGaussian(Study):
    """p = N(mean, covariance), L its precision; q = prod_j N(m_j, 1 / L_jj), whose variances are those of p(x_j|rest).

    m_j = mean_j - sum_k!=j L_jk (m_k - mean_k) / L_jj; the ELBO is -KL(q || p) <= 1/2 (log|L| - sum_j log L_jj).

    Args:
        mean: mean of p, (d,)
        covariance: covariance of p, (d, d)
        start: initial m, (d,)
    """

    def __init__(self, *, mean: list[float], covariance: list[list[float]], start: list[float]) -> None:
        wanted = f"study.covariance={covariance}: expected a symmetric positive definite matrix"
        if any(len(row) != len(covariance) for row in covariance):
            raise UserError(f"{wanted}, square, with rows of one length")
        self.mean, self.covariance = np.array(mean, dtype=float), np.array(covariance, dtype=float)
        d = len(mean)
        if d < 2 or self.covariance.shape != (d, d) or len(start) != d:
            raise UserError("study.mean, study.covariance, study.start: d, d x d and d numbers, d at least 2")
        if not np.allclose(self.covariance, self.covariance.T) or np.linalg.eigvalsh(self.covariance)[0] <= 0:
            raise UserError(wanted)
        self.precision = np.linalg.inv(self.covariance)
        self.variances = 1 / np.diag(self.precision)
        self.path: list[Vector] = [np.array(start, dtype=float)]

    @property
    def elbo(self) -> float:
        """-KL(q || p), in closed form."""
        away = self.path[-1] - self.mean
        log_ratio = np.log(self.variances).sum() - np.linalg.slogdet(self.covariance)[1]
        distance = away @ self.precision @ away + np.diag(self.precision) @ self.variances - len(away)
        return 0.5 * float(log_ratio - distance)

    def sweep(self) -> Iterator[str]:
        """Each mean in turn."""
        for j in range(len(self.mean)):
            m = self.path[-1].copy()
            others = np.arange(len(m)) != j
            m[j] = self.mean[j] - self.precision[j, others] @ (m - self.mean)[others] * self.variances[j]
            self.path.append(m)
            yield f"q(x{j + 1})"

    def findings(self) -> dict[str, Any]:
        """Means and standard deviations of q and of p."""
        return {
            "mean": self.path[-1].tolist(),
            "deviation": np.sqrt(self.variances).tolist(),
            "exact_mean": self.mean.tolist(),
            "exact_deviation": np.sqrt(np.diag(self.covariance)).tolist(),
            "kl": -self.elbo,
        }

    def figure(self, steps: list[Step]) -> Figure:
        """The first two dimensions: p, the path of the means, and the final q."""
        figure, axes = beside_elbo(steps)
        for width, p, q in ((1, "$p$", "$q$"), (2, None, None), (3, None, None)):
            ellipse(axes, self.mean[:2], self.covariance[:2, :2], width, color=GREY, label=p)
            ellipse(axes, self.path[-1][:2], np.diag(self.variances[:2]), width, color=BLUE, label=q)
        path = np.array(self.path)
        axes.plot(path[:, 0], path[:, 1], ".-", color=ORANGE, linewidth=0.8, label="means of $q$")
        axes.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, handlelength=1, borderaxespad=0.2)
        return figure
