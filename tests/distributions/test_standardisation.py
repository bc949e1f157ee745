"""Tables in their own units: the model sees them standardised, every number and sample is of the units they came in."""

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch.distributions import Independent, Normal

from tests.support.configs import composed
from tests.support.tables import run
from vae_cli import load
from vae_cli.datasets import Array
from vae_cli.datasets.info import DatasetInfo
from vae_cli.distributions.standardisation import Original, Scored, Standardisation
from vae_cli.errors import ConfigError

D = 4
CPU = torch.device("cpu")
SMALL = ("network.hidden=[8]", "model.latent_dim=2")
NATS = ("test/elbo", "test/iw_log_likelihood", "val/elbo")


def table(rows: int = 200) -> np.ndarray:
    """Correlated columns in units of very different sizes."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(rows, 2)) @ rng.normal(size=(2, D)) + 0.5 * rng.normal(size=(rows, D))
    return z * [1.0, 800.0, 1e-6, 30.0] + [0.0, -3e4, 7e-6, 1.7e9]


def test_statistics_are_those_of_the_training_rows_in_float64():
    x = table(5000) + np.array([0, 0, 0, 0.25])
    units = Standardisation.of(torch.from_numpy(x))
    exact = x.astype(np.longdouble)
    wrong = abs(units.mean.numpy() - exact.mean(0))
    assert (wrong <= 1e-15 * abs(exact.mean(0)) + 1e-14 * exact.std(0)).all()
    np.testing.assert_allclose(units.scale, exact.std(0).astype(float), rtol=1e-9)
    u = units.standardise(torch.from_numpy(x))
    assert u.dtype == torch.float32
    np.testing.assert_allclose(u, ((exact - exact.mean(0)) / exact.std(0)).astype(float), atol=1e-6)
    np.testing.assert_allclose(units.original(u)[:, 3], x[:, 3], rtol=0, atol=1e-4)  # float32 would keep 128 of it
    assert units.log_scale == pytest.approx(np.log(x.std(0)).sum(), rel=1e-9)


def test_a_constant_column_keeps_its_scale_and_huge_ones_do_not_overflow():
    x = torch.tensor([[0.1, 1e300, 3.0], [0.1, -1e300, 3.0], [0.1, 1e300, 3.0]], dtype=torch.float64)
    units = Standardisation.of(x)
    assert units.scale[0] == units.scale[2] == 1 and units.scale[1].isfinite()
    u = units.standardise(x)
    assert u.isfinite().all() and (u[:, [0, 2]] == 0).all() and torch.equal(units.original(u)[:, 0], x[:, 0])


def test_densities_are_those_of_the_original_units():
    units = Standardisation(torch.tensor([5.0, -2e3]).double(), torch.tensor([1e-3, 700.0]).double())
    loc, scale = torch.randn(6, 2), torch.rand(6, 2) + 0.5
    inside = Scored(Independent(Normal(loc, scale), 1), units)
    truth = Independent(Normal(units.mean + units.scale * loc, units.scale * scale), 1)
    x = truth.sample()
    torch.testing.assert_close(inside.log_prob(units.standardise(x)).double(), truth.log_prob(x), rtol=0, atol=1e-4)
    outside = inside.original()
    assert isinstance(outside, Original)
    torch.testing.assert_close(outside.log_prob(x).double(), truth.log_prob(x), rtol=0, atol=1e-4)
    for name in ("mean", "stddev", "variance"):
        torch.testing.assert_close(getattr(outside, name).double(), getattr(truth, name))
    torch.manual_seed(1)
    draws = inside.sample(torch.Size((3,)))
    torch.manual_seed(1)
    torch.testing.assert_close(outside.sample(torch.Size((3,))), units.original(draws))


def test_the_model_is_that_of_a_table_standardised_by_hand(tmp_path):
    x = table()
    own, data = run(tmp_path / "own", x, *SMALL)
    units = data.standardisation
    assert units is not None and own["data/standardised"] is True
    train_rows = x[data.train.rows.numpy()]
    np.testing.assert_allclose(units.mean, train_rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(own["data/log_scale"], np.log(train_rows.std(0)).sum(), rtol=1e-8)
    by_hand = units.standardise(torch.from_numpy(x)).numpy()
    other, _ = run(tmp_path / "hand", by_hand, *SMALL, "dataset.standardise=false")
    assert other["data/standardised"] is False and "data/log_scale" not in other
    for name in NATS:
        assert own[name] == pytest.approx(other[name] - units.log_scale, abs=1e-4)
    assert own["test/rate"] == pytest.approx(other["test/rate"], abs=1e-6)
    assert own["test/distortion"] == pytest.approx(other["test/distortion"] + units.log_scale, abs=1e-4)


VADE = ("model=vade", "pretraining.epochs=1", "initialisation=gmm", "prior.components=3", *SMALL)
HVAE = ("model=hvae", "likelihood=gaussian", "model.below=[3]", *SMALL)


@pytest.mark.parametrize(
    ("factor", "offset", "overrides"),
    [(1000, 5, SMALL), pytest.param(1024, 0, HVAE, marks=pytest.mark.slow), (1024, 0, VADE)],
)
def test_other_units_change_nothing_but_the_unit(factor, offset, overrides, tmp_path):
    """log p(a x + b) = log p(x) - D log a; what the model sees is the same bits where a is a power of two."""
    x = table()
    one, _ = run(tmp_path / "one", x, *overrides)
    other, _ = run(tmp_path / "other", factor * x + offset, *overrides)
    for name in NATS:
        assert other[name] == pytest.approx(one[name] - D * math.log(factor), abs=1e-3)
    assert other["test/reconstruction_error"] == pytest.approx(factor**2 * one["test/reconstruction_error"], rel=1e-4)
    assert other["test/rate"] == pytest.approx(one["test/rate"], abs=1e-4)


def test_the_exact_density_of_a_linear_model_is_that_of_the_original_units(tmp_path):
    """Probabilistic PCA: p(x) = N(m + s b, s (W W^T + noise^2) s^T), by scipy."""
    x = table()
    linear = ("network=linear", "model.latent_dim=2", "posterior=full_covariance", "likelihood.scale=0.5")
    numbers, data = run(tmp_path / "linear", x, *linear, "trainer.max_epochs=5", "evaluate.samples=2000")
    model, units = load(tmp_path / "linear").model, data.standardisation
    weights = [p.detach().double().numpy() for p in model.likelihood.decoder.parameters()]
    scale = units.scale.numpy()
    covariance = np.outer(scale, scale) * (weights[0] @ weights[0].T + 0.25 * np.eye(D))
    mean = units.mean.numpy() + scale * weights[1]
    held = x[data.test.rows.numpy()]
    unit = scale  # scipy's own tolerance is absolute
    exact = multivariate_normal(mean / unit, covariance / np.outer(unit, unit)).logpdf(held / unit) - np.log(unit).sum()
    assert numbers["exact/model_log_likelihood"] == pytest.approx(exact.mean(), abs=1e-3)
    assert numbers["test/iw_log_likelihood"] == pytest.approx(exact.mean(), abs=0.1)
    assert numbers["test/elbo"] < exact.mean()


KINDS = {
    "vamp": ["prior=vamp", "prior.pseudo_inputs=20"],
    "ae": ["model=ae", "prior.components=2"],
    "wae": ["model=wae"],
    "aae": ["model=aae"],
    "gan": ["model=gan", "network=mlp", "likelihood=gaussian"],
    "table": ["posterior=per_example"],
    "learned": ["likelihood=gaussian_learned"],
    "decoder": ["likelihood=gaussian_decoder"],
    "layerwise": ["model=vade", "pretraining=layerwise", "pretraining.layer_epochs=1", "prior.components=2"],
    "gaps": [
        "evaluate=gaps",
        "evaluate.gaps.images=5",
        "evaluate.gaps.temperatures=20",
        "evaluate.gaps.refine_steps=5",
    ],
}


LATER = ("wae", "decoder", "layerwise")
"""Kinds that have the parts of others."""


@pytest.mark.parametrize("kind", [pytest.param(one, marks=[pytest.mark.slow] * (one in LATER)) for one in KINDS])
def test_every_kind_of_model_gives_samples_in_the_original_units(kind, tmp_path):
    x = table()
    extra = ["initialisation=gmm", "pretraining.epochs=1"] if kind == "layerwise" else []
    numbers, data = run(tmp_path / kind, x, *KINDS[kind], *SMALL, *extra)
    assert all(math.isfinite(value) for value in numbers.values() if isinstance(value, float))
    means, units = load(tmp_path / kind).sample(50), data.standardisation
    assert ((means - units.mean).abs() < 10 * units.scale).all() and means.dtype == torch.float64
    if kind == "gaps":
        assert numbers["gaps/elbo"] == pytest.approx(numbers["test/elbo"], abs=8)
        assert abs(numbers["gaps/ais_over_refined_iw"]) < 2


def test_points_of_figures_are_in_the_original_units(tmp_path):
    from vae_cli.figures.examples import Examples, decoded
    from vae_cli.figures.vectors import draws

    _, data = run(tmp_path / "run", table(), *SMALL)
    model, units = load(tmp_path / "run").model, data.standardisation
    with torch.no_grad():
        examples = Examples.collect(model, data, "test", CPU, 30)
        shown = (examples.x, decoded(model, examples.means), draws(model, 30))
    assert (
        torch.allclose(examples.x.sort(0).values[0], data.test.x[:30].sort(0).values[0], rtol=1e-4)
        or len(data.test) > 30
    )
    for points in shown:
        assert ((points - units.mean).abs() < 10 * units.scale).all()


def test_only_tables_of_real_numbers_are_standardised_by_themselves(tmp_path):
    keys = {"batch_size": 4, "val_size": 2, "val_seed": 0, "binarize": "none", "test_fraction": 0.2, "test_seed": 0}
    x = np.random.default_rng(0).random((20, 4))

    def standardised(x, domain="real", **more) -> bool:
        np.savez(tmp_path / "x.npz", x=x)
        return Array(path=str(tmp_path / "x.npz"), domain=domain, **keys, **more).load().standardisation is not None

    assert standardised(x, standardise="auto") and standardised(x, standardise=True)
    assert standardised((100 * x).astype(int), standardise="auto")
    assert not standardised(x, standardise=False) and not standardised(x)  # a run of an earlier version says nothing
    assert not standardised(x, "unit", standardise="auto")
    assert not standardised(x.reshape(20, 2, 2), standardise="auto")
    assert standardised(x.reshape(20, 2, 2), standardise=True)


def test_a_constant_column_is_said(tmp_path, capsys):
    x = table()
    x[:, 2] = 0.3
    numbers, data = run(tmp_path / "run", x, *SMALL)
    assert data.standardisation.scale[2] == 1 and math.isfinite(numbers["test/elbo"])
    assert "column 2 holds the same value in all examples of the training split" in capsys.readouterr().err


@pytest.mark.parametrize("domain", ["unit", "levels", "binary"])
def test_numbers_without_units_are_not_standardised(domain):
    likelihood = "bernoulli" if domain == "binary" else "gaussian"
    with pytest.raises(ConfigError, match=r"dataset\.standardise=true .* use dataset\.standardise=false"):
        composed(
            "dataset=array",
            "dataset.path=x",
            f"dataset.domain={domain}",
            f"likelihood={likelihood}",
            "dataset.standardise=true",
        )


def test_facts_of_earlier_checkpoints_know_no_statistics():
    facts = DatasetInfo("array", (3,), "real", "", 10, Standardisation.of(torch.randn(5, 3)))
    kept = {**asdict(facts), "event_shape": [3]}
    again = DatasetInfo.read(kept).standardisation
    assert again is not None and torch.equal(again.mean, facts.standardisation.mean)
    assert DatasetInfo.read({name: kept[name] for name in kept if name != "standardisation"}).standardisation is None
