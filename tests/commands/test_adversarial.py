"""Whole runs of adversarial models in this process, on scikit-learn's digits and small tables."""

import csv
import json
from pathlib import Path

import pytest
import torch

import vae_cli
from tests.support.commands import fork
from tests.support.configs import composed
from tests.support.training import assert_same_end, interrupted, train
from vae_cli.errors import UserError

TINY = ("dataset=digits", "network.channels=[4,8]", "network.dense=16", "model.latent_dim=3", "divergence.width=8")
RUN = (*TINY, "trainer.max_epochs=2", "logger=csv", "dataset.batch_size=64")


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "gan"
    return folder, train(composed("model=gan", *RUN), folder, figures=True)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_gan_reports_samples_and_no_bound(generator):
    folder, results = generator
    assert {key for key in results if key.startswith("test/")} == {"test/examples", "test/sample_mmd"}
    assert not any(key.startswith("val/") for key in results)
    assert {path.stem for path in (folder / "figures").iterdir()} == {"samples", "training_curves"}
    first = rows_of(folder)[0]
    assert {"train/divergence", "train/discriminator_loss", "train/discriminator_accuracy"} <= set(first)
    assert not any(name.startswith("val/") for name in first)
    best, last = (torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert best["epoch"] == last["epoch"] == 1


@pytest.mark.parametrize(("kind", "position"), [("batch", 7), pytest.param("epoch", 1, marks=pytest.mark.slow)])
def test_a_gan_resumes_bit_identically(kind, position, generator, tmp_path):
    folder, whole = generator
    results = interrupted(composed("model=gan", *RUN), tmp_path, kind, position)
    assert_same_end(folder, tmp_path)
    assert results["test/sample_mmd"] == whole["test/sample_mmd"]


def test_a_gan_in_python(generator):
    run = vae_cli.load(generator[0])
    x = run.data.test.x[:3].float() / 255
    assert run.sample(5).shape == (5, 1, 8, 8) and run.decode(torch.zeros(2, 3)).mean.shape == (2, 1, 8, 8)
    with pytest.raises(UserError, match="no encoder, so there is no q"):
        run.encode(x)
    with pytest.raises(UserError, match="no encoder, so there is no log-likelihood"):
        run.log_likelihood(x)
    with pytest.raises(UserError, match="no components"):
        run.responsibilities(x)


def test_a_gan_is_evaluated_again_and_sampled_by_the_commands(generator, tmp_path):
    folder, results = generator
    done = fork("vae-eval", f"run={folder}", "trainer.accelerator=cpu", folder=tmp_path)
    assert done.code == 0, done.err
    (file,) = (folder / "evaluations").glob("*.json")
    assert json.loads(file.read_text())["test/sample_mmd"] == pytest.approx(results["test/sample_mmd"], abs=1e-6)
    done = fork("vae-sample", f"run={folder}", "n=4", folder=tmp_path)
    assert done.code == 0 and (folder / "samples/best_n4_seed0.png").exists(), done.err
    done = fork("vae-eval", f"run={folder}", "evaluate=gaps", "trainer.accelerator=cpu", folder=tmp_path)
    assert done.code and "evaluate.gaps" in done.err and "NoEncoder" in done.err and "Traceback" not in done.err


def test_a_vae_gan_reports_a_bound_but_is_not_chosen_by_it(tmp_path):
    results = train(composed("model=vae_gan", *RUN), tmp_path)
    assert results["test/elbo"] == pytest.approx(-results["test/distortion"] - results["test/rate"])
    assert results["test/elbo"] <= results["test/iw_log_likelihood"]
    assert "val/elbo" not in results
    rows = rows_of(tmp_path)
    assert float(rows[-1]["val/elbo"]) < 0 and 0 <= float(rows[-1]["train/discriminator_accuracy"]) <= 1
    assert float(rows[-1]["train/feature_distortion"]) > 0
    best = torch.load(tmp_path / "checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] == 1


def test_vectors_have_a_generator_too(tmp_path):
    line = ["model=gan", "network=mlp", "network.hidden=[16]", "dataset=gaussian_mixture", "model.latent_dim=2"]
    line += ["dataset.train_size=300", "dataset.val_size=50", "dataset.test_size=100", "trainer.max_epochs=1"]
    results = train(composed(*line), tmp_path, figures=True)
    assert "test/sample_mmd" in results and "exact/log_likelihood" in results and "test/elbo" not in results
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert drawn == {"samples", "density", "training_curves"}


@pytest.mark.slow
def test_factors_of_data_need_codes(tmp_path):
    """Disentanglement is of an encoder's means."""
    line = ["model=gan", "dataset=shapes", "dataset.train_size=80", "dataset.val_size=10", "dataset.test_size=600"]
    line += ["network.channels=[4]", "network.dense=8", "trainer.max_epochs=1", "divergence.width=8"]
    assert "test/mig" not in train(composed(*line), tmp_path)
