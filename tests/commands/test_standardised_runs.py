"""A run on a public table: its numbers, samples and figures are in the original units."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.datasets import load_breast_cancer, load_wine

from tests.support.commands import fork
from tests.support.faults import expect
from vae_cli import load


@pytest.fixture(scope="module")
def wine(tmp_path_factory) -> Path:
    """A working directory with two public tables, and a run on one of them with the defaults."""
    folder = tmp_path_factory.mktemp("tables") / "work"
    folder.mkdir()
    for name, loader in (("wine", load_wine), ("cancer", load_breast_cancer)):
        np.savez(folder / f"{name}.npz", x=loader().data, y=loader().target)
    done = fork(
        "vae-train", "dataset=array", "dataset.path=wine.npz", "logger=none", "hydra.run.dir=run", folder=folder
    )
    assert (done.code, done.err) == (0, "")
    return folder


def test_a_public_table_trains_with_the_defaults(wine):
    done = fork(
        "vae-train", "dataset=array", "dataset.path=cancer.npz", "logger=none", "likelihood=gaussian_learned",
        "likelihood.per_dimension=true", "hydra.run.dir=cancer", folder=wine,
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    numbers, x = json.loads((wine / "cancer/results.json").read_text()), load_breast_cancer().data
    gaussian = norm(x.mean(0), x.std(0)).logpdf(x).sum(1).mean()  # of independent columns
    assert gaussian + 5 < numbers["test/iw_log_likelihood"] < gaussian + 100


def test_an_evaluation_again_gives_the_numbers_of_the_training(wine):
    assert fork("vae-eval", "run=run", folder=wine).code == 0
    (file,) = (wine / "run/evaluations").glob("*_k100_*.json")
    again, first = json.loads(file.read_text()), json.loads((wine / "run/results.json").read_text())
    assert {name: again[name] for name in again if name.startswith("test/")} == {
        name: first[name] for name in first if name.startswith("test/")
    }


def test_samples_come_back_in_the_original_units(wine):
    x = load_wine().data
    assert fork("vae-sample", "run=run", "n=400", folder=wine).code == 0
    file = np.load(next((wine / "run/samples").glob("*.npz")))
    for name in ("x", "mean"):
        assert (abs(file[name].mean(0) - x.mean(0)) < 0.5 * x.std(0)).all()
    np.testing.assert_allclose(file["x"].std(0), x.std(0), rtol=0.5)


def test_the_python_interface_takes_and_gives_the_original_units(wine):
    loaded = load(wine / "run")
    x = loaded.data.test.x
    np.testing.assert_array_equal(x, load_wine().data[loaded.data.test.rows])
    numbers = json.loads((wine / "run/results.json").read_text())
    assert float(loaded.log_likelihood(x, 100).mean()) == pytest.approx(numbers["test/iw_log_likelihood"], abs=0.1)
    means = loaded.decode(loaded.encode(x.numpy()).mean)
    error = (means.mean - x).square().sum(1).mean()
    assert float(error) == pytest.approx(numbers["test/reconstruction_error"], rel=1e-4)
    p, z = loaded.decode(torch.zeros(1, loaded.model.latent_dim)), torch.zeros(1, 1, loaded.model.latent_dim)
    inner = loaded.model.decode(z).log_prob(loaded.batch(x).x)
    torch.testing.assert_close(p.log_prob(x), inner[0])
    assert abs(loaded.sample(200).mean(0) - x.mean(0)).div(x.std(0)).max() < 1


def test_a_resumed_run_keeps_its_statistics(wine):
    done = fork("vae-train", "resume=run", "trainer.max_epochs=21", folder=wine)
    assert (done.code, done.err) == (0, "")
    numbers = json.loads((wine / "run/results.json").read_text())
    assert numbers["train/epochs"] == 21 and numbers["data/standardised"] is True


@pytest.mark.parametrize(
    "overrides", [[], pytest.param(["likelihood=gaussian_decoder"], marks=pytest.mark.slow)], ids=str
)
def test_a_loss_that_is_nan_at_once_names_the_column(overrides, wine):
    line = [
        "dataset=array",
        "dataset.path=wine.npz",
        "dataset.standardise=false",
        "dataset.batch_size=142",
        "logger=none",
    ]
    done = fork("vae-train", *line, "dataset.val_size=0", *overrides, folder=wine)
    expect("NaN or infinity before the first update", done)
