import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from vae_cli.datasets import Digits, GaussianMixture, LinearGaussian, TwoPoints
from vae_cli.datasets.parameters import GaussianMixtureParameters, LinearGaussianParameters

SIZES = {"batch_size": 100, "val_size": 500, "val_seed": 0, "train_size": 20_000, "test_size": 1000, "data_seed": 3}


def test_linear_gaussian_has_the_exact_density_of_its_data():
    data = LinearGaussian(dim=6, latent_dim=3, noise=0.5, **SIZES).load()
    p = data.parameters
    assert isinstance(p, LinearGaussianParameters) and data.exact is not None
    w = p.weight.numpy()
    oracle = multivariate_normal(p.bias.numpy(), w @ w.T + 0.25 * np.eye(6))
    x = data.test.x
    assert isinstance(x, torch.Tensor) and x.dtype == torch.float32 and data.domain == "real"
    np.testing.assert_allclose(data.exact.log_prob(x.double()), oracle.logpdf(x.numpy()), rtol=1e-10)
    score = oracle.logpdf(x.numpy())  # its mean is minus the entropy if x are draws of p
    assert abs(score.mean() + oracle.entropy()) < 4 * score.std() / np.sqrt(len(score))
    train = data.train.x
    assert isinstance(train, torch.Tensor)
    np.testing.assert_allclose(np.cov(train.numpy().T), oracle.cov, atol=0.06 * np.abs(oracle.cov).max())
    gram = w.T @ w
    assert np.abs(gram - np.diag(np.diag(gram))).max() > 0.1 * np.diag(gram).max()  # the posterior is correlated


def test_gaussian_mixture_has_the_exact_density_of_its_data_and_labels():
    data = GaussianMixture(dim=3, components=4, spread=5.0, **SIZES).load()
    p = data.parameters
    assert isinstance(p, GaussianMixtureParameters) and data.exact is not None
    x, y = data.test.x, data.test.y
    assert isinstance(x, torch.Tensor) and y is not None and data.classes == 4
    components = [
        multivariate_normal(m.numpy(), np.diag(s.numpy() ** 2)) for m, s in zip(p.means, p.scales, strict=True)
    ]
    logs = np.stack([c.logpdf(x.numpy()) + np.log(w) for c, w in zip(components, p.weights.numpy(), strict=True)])
    np.testing.assert_allclose(data.exact.log_prob(x.double()), logsumexp(logs, 0), rtol=1e-10)
    assert (logs.argmax(0) == y.numpy()).mean() > 0.9
    assert data.train.y is not None
    frequency = data.train.y.bincount(minlength=4) / len(data.train)
    np.testing.assert_allclose(frequency, p.weights, atol=0.02)


@pytest.mark.parametrize("kind", [LinearGaussian, GaussianMixture])
def test_the_same_data_come_in_every_run(kind):
    own = {"latent_dim": 2, "noise": 1.0} if kind is LinearGaussian else {"components": 3, "spread": 3.0}
    hashes = [kind(dim=4, **own, **{**SIZES, "data_seed": seed}).load().sha256 for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_digits_hold_sixteenths():
    keys = {"batch_size": 64, "val_size": 200, "val_seed": 0, "test_fraction": 0.2, "test_seed": 0}
    data = Digits(binarize="none", **keys).load()
    assert (len(data.train), len(data.val), len(data.test)) == (1238, 200, 359)
    x = data.train.x
    assert isinstance(x, torch.Tensor) and torch.equal(x * 16, (x * 16).round()) and x.max() == 1
    assert data.domain == "unit" and data.event_shape == (1, 8, 8) and data.classes == 10
    assert Digits(binarize="dynamic", **keys).load().domain == "binary"


def test_two_points_are_all_there_is():
    data = TwoPoints(dim=2, **SIZES).load()
    assert data.exact is None and data.domain == "real"
    for split in (data.train, data.val, data.test):
        assert split.x.unique(dim=0).tolist() == [[-1.0, -1.0], [1.0, 1.0]]
        assert torch.equal(split.x[:, 0] > 0, split.y == 1)
