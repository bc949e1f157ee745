"""The correlated Gaussian against its closed form."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from vae_cli.errors import UserError
from vae_cli.studies.cavi.ascent import ascend
from vae_cli.studies.cavi.gaussian import CorrelatedGaussian

COVARIANCE = [[1.0, 0.6, -0.2], [0.6, 2.0, 0.3], [-0.2, 0.3, 0.5]]


def study(**changes) -> CorrelatedGaussian:
    settings = {"mean": [1.0, -2.0, 0.5], "covariance": COVARIANCE, "start": [5.0, 5.0, 5.0]} | changes
    return CorrelatedGaussian(**settings)


def test_the_means_are_found_and_the_variances_are_those_given_the_rest() -> None:
    ours = study()
    steps = ascend(ours, sweeps=200, tolerance=1e-12)
    found, precision = ours.findings(), np.linalg.inv(COVARIANCE)
    np.testing.assert_allclose(found["mean"], found["exact_mean"], atol=1e-5)
    np.testing.assert_allclose(np.square(found["deviation"]), 1 / np.diag(precision))
    best = 0.5 * (np.linalg.slogdet(precision)[1] - np.log(np.diag(precision)).sum())
    assert steps[-1].elbo == pytest.approx(best, abs=1e-9)
    assert all(b.elbo >= a.elbo - 1e-12 for a, b in pairwise(steps))
    assert [step.factor for step in steps[:4]] == ["start", "q(x1)", "q(x2)", "q(x3)"]


def test_the_elbo_is_minus_the_kl_of_torch() -> None:
    ours = study()
    for _ in range(4):
        next(ours.sweep())
        q = MultivariateNormal(torch.tensor(ours.path[-1]), torch.diag(torch.tensor(ours.variances)))
        p = MultivariateNormal(torch.tensor(ours.mean), torch.tensor(ours.covariance))
        assert ours.elbo == pytest.approx(-kl_divergence(q, p).item())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"covariance": [[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]}, "positive definite"),
        ({"covariance": [[1.0, 0.9], [0.9]]}, r"study\.covariance=\[\[1\.0, 0\.9\], \[0\.9\]\]: .* positive definite"),
        ({"covariance": [[1.0]]}, "d x d"),
        ({"start": [1.0]}, "study.start"),
    ],
)
def test_what_is_no_covariance_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        study(**changes)
