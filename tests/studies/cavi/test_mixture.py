"""The Bayesian mixture against scikit-learn's, and its ELBO against Monte Carlo."""

import numpy as np
import pytest
from scipy.stats import dirichlet, multivariate_normal, wishart
from sklearn.mixture import BayesianGaussianMixture

from vae_cli.errors import UserError
from vae_cli.studies.cavi.ascent import ascend
from vae_cli.studies.cavi.mixture import GaussianMixture, generated


def study(components: int = 4, seed: int = 0, **changes) -> GaussianMixture:
    settings = {"path": None, "concentration": 0.5, "precision": 0.3} | changes
    return GaussianMixture(components=components, seed=seed, **settings)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("concentration", [1e-3, 0.5])
def test_it_ends_where_scikit_learn_ends(seed: int, concentration: float) -> None:
    ours = study(seed=seed, concentration=concentration)
    theirs = BayesianGaussianMixture(
        n_components=4,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=concentration,
        mean_precision_prior=0.3,
        init_params="kmeans",
        random_state=seed,
        tol=1e-12,
        max_iter=5000,
        reg_covar=0.0,
    ).fit(ours.x)
    ascend(ours, sweeps=5000, tolerance=1e-10)
    found, order = ours.findings(), np.argsort(-theirs.weights_)
    used = theirs.weights_[order] > 1e-4
    np.testing.assert_allclose(found["weights"], theirs.weights_[order], atol=1e-4)
    np.testing.assert_allclose(np.array(found["means"])[used], theirs.means_[order][used], atol=1e-3)
    np.testing.assert_allclose(np.array(found["covariances"])[used], theirs.covariances_[order][used], atol=1e-3)


def test_the_elbo_is_what_it_is_the_expectation_of() -> None:
    """E_q log p(x, z, pi, mu, L) - log q by draws from q, z summed over."""
    ours = study(components=2)
    ascend(ours, sweeps=5, tolerance=np.inf)
    random, x, values = np.random.default_rng(0), ours.x, []
    w0 = np.linalg.inv(ours.inverse0)
    for _ in range(1000):
        pi = random.dirichlet(ours.a)
        value = dirichlet.logpdf(pi, [ours.a0, ours.a0]) - dirichlet.logpdf(pi, ours.a)
        for k in range(2):
            w = np.linalg.inv(ours.inverse[k])
            precision = wishart.rvs(ours.nu[k], w, random_state=random)
            covariance = np.linalg.inv(precision)
            mu = random.multivariate_normal(ours.m[k], covariance / ours.b[k])
            value += wishart.logpdf(precision, ours.nu0, w0) - wishart.logpdf(precision, ours.nu[k], w)
            value += multivariate_normal.logpdf(mu, ours.m0, covariance / ours.b0)
            value -= multivariate_normal.logpdf(mu, ours.m[k], covariance / ours.b[k])
            log_joint = np.log(pi[k]) + multivariate_normal.logpdf(x, mu, covariance)
            r = ours.r[:, k]
            value += (r * log_joint).sum() - np.where(r > 0, r * np.log(np.maximum(r, 1e-300)), 0).sum()
        values.append(value)
    assert ours.elbo == pytest.approx(np.mean(values), abs=max(1e-9, 4 * np.std(values) / len(values) ** 0.5))


def test_components_that_are_not_needed_lose_their_weight() -> None:
    ours = study(components=6, concentration=1e-3)
    ascend(ours, sweeps=500, tolerance=1e-9)
    np.testing.assert_allclose(ours.findings()["weights"], [1 / 3] * 3 + [0] * 3, atol=0.01)


def test_the_covariances_found_are_the_inverses_of_the_expected_precisions() -> None:
    ours = study(components=3)
    ascend(ours, sweeps=5, tolerance=np.inf)
    order = np.argsort(-ours.a)
    q = [wishart(ours.nu[k], np.linalg.inv(ours.inverse[k])) for k in order]
    np.testing.assert_allclose(ours.findings()["covariances"], [np.linalg.inv(one.mean()) for one in q])


@pytest.mark.parametrize("components", [300, 301])
def test_as_many_components_as_points_are_refused_by_their_own_name(components: int) -> None:
    with pytest.raises(UserError, match=rf"study\.components={components}: .* points, 300"):
        study(components=components)


def test_points_of_ones_own(tmp_path) -> None:
    np.savetxt(tmp_path / "x.txt", generated(3))
    ours = study(path=str(tmp_path / "x.txt"))
    np.testing.assert_allclose(ours.x, generated(3))
    np.savetxt(tmp_path / "x.txt", np.column_stack([np.arange(9.0), np.arange(9.0)]))
    with pytest.raises(UserError, match="fewer dimensions"):
        study(path=str(tmp_path / "x.txt"))
    np.savetxt(tmp_path / "x.txt", np.arange(3.0))
    with pytest.raises(UserError, match="in rows"):
        study(path=str(tmp_path / "x.txt"))
