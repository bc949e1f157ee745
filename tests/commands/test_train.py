"""Whole runs in this process, on scikit-learn's digits."""

import json
from dataclasses import replace

import pytest
import torch

import vae_cli
from tests.support.configs import composed
from tests.support.training import assert_same_end, interrupted, train
from vae_cli.errors import UserError
from vae_cli.runs import checkpoints

TINY = ("dataset=digits", "network.hidden=[32]", "model.latent_dim=4", "trainer.max_epochs=2", "logger=csv")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    return folder, train(composed(*TINY), folder, figures=True)


def test_a_run_leaves_everything_in_its_folder(finished):
    folder, results = finished
    saved = json.loads((folder / "results.json").read_text())
    assert saved["starts"] == results["starts"]
    assert saved | {"starts": 1} == pytest.approx(results | {"starts": 1}, nan_ok=True)
    assert results["status"] == "done" and results["test/iw_samples"] == 5
    for key in ("elbo", "distortion", "rate", "iw_log_likelihood", "effective_sample_size", "bits_per_dim"):
        assert results[f"test/{key}_se"] > 0
    assert results["test/elbo"] == pytest.approx(-results["test/distortion"] - results["test/rate"])
    assert results["test/elbo"] < results["test/iw_log_likelihood"]
    assert results["test/bits_per_dim"] == pytest.approx(-results["test/iw_log_likelihood"] / 64 / 0.6931472, rel=1e-5)
    assert "test/mig" not in results  # digits have no known factors
    files = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    expected = {"config.yaml", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"}
    figures = {
        f"figures/{n}.png" for n in ("reconstructions", "samples", "traversals", "latent_space", "training_curves")
    }
    assert expected | figures <= files
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[0].startswith("epoch,step,")


def test_same_seed_same_numbers(finished, tmp_path):
    _, results = finished
    again = train(composed(*TINY), tmp_path)
    other = train(composed(*TINY, "seed=1"), tmp_path / "other")
    for key in ("test/elbo", "test/iw_log_likelihood", "test/distortion", "data/sha256"):
        assert again[key] == results[key]
    assert other["test/elbo"] != results["test/elbo"]


def test_a_run_is_two_lines_of_python(finished):
    folder, results = finished
    run = vae_cli.load(folder)
    x = torch.stack([run.data.test.x[i] for i in range(30)]).float() / 255
    q = run.encode(x)
    assert q.mean.shape == (30, 4)
    assert run.decode(q.mean).mean.shape == x.shape
    assert run.sample(5).shape == (5, 1, 8, 8)
    log_px = run.log_likelihood(x, samples=50)
    assert log_px.shape == (30,) and float(log_px.mean()) == pytest.approx(results["test/iw_log_likelihood"], abs=5)
    assert torch.equal(run.encode(x.flatten(1).numpy()).mean, q.mean)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.encode(torch.zeros(3, 7)), r"takes \(N, 1, 8, 8\)"),
        (lambda run: run.encode(torch.full((3, 64), 0.5)), "scores binary data"),
        (lambda run: run.decode(torch.zeros(3, 5)), r"takes \(N, 4\)"),
    ],
)
def test_wrong_arrays_are_refused(finished, call, message):
    with pytest.raises(UserError, match=message):
        call(vae_cli.load(finished[0]))


@pytest.mark.parametrize(("kind", "position"), [pytest.param("epoch", 1, marks=pytest.mark.slow), ("batch", 12)])
def test_a_resumed_run_is_bit_identical(kind, position, finished, tmp_path):
    results = interrupted(composed(*TINY), tmp_path, kind, position)
    folder, whole = finished
    assert_same_end(folder, tmp_path)
    assert results["test/iw_log_likelihood"] == whole["test/iw_log_likelihood"]


@pytest.mark.parametrize(
    "overrides", [["trainer.patience=1", "optimizer.lr=1e-12"], ["model=ae", "prior.components=3"]], ids=str
)
def test_what_comes_after_training_can_be_done_again(overrides, tmp_path):
    """Patience that has run out, and a prior that was fitted to the best checkpoint, stay as they were."""
    config = composed(*TINY, "model.latent_dim=2", "trainer.max_epochs=6", *overrides)
    first = train(config, tmp_path)
    before = checkpoints.load(tmp_path / "checkpoints" / "best.ckpt")["state_dict"]
    again = train(replace(config, resume=str(tmp_path)), tmp_path)
    after = checkpoints.load(tmp_path / "checkpoints" / "best.ckpt")["state_dict"]
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name in ("train/epochs", "train/steps", "test/distortion"):
        assert again[name] == first[name]


def test_a_run_without_components_says_so(finished):
    run = vae_cli.load(finished[0])
    with pytest.raises(UserError, match=r"its p.z. has no components; train with model=vade, or prior=mixture"):
        run.cluster(torch.zeros(2, 64))


def test_a_diverging_run_names_the_term_and_the_step(tmp_path):
    with pytest.raises(
        UserError, match=r"became (nan|inf|-inf) at epoch 1, batch \d+, step \d+; the first term to go was"
    ):
        train(composed(*TINY, "optimizer=sgd", "optimizer.lr=1e12"), tmp_path)


def test_an_autoencoder_reports_no_bound_and_samples_from_its_codes(tmp_path):
    results = train(composed("model=ae", "prior.components=3", *TINY), tmp_path)
    assert "test/reconstruction_error" in results and "test/distortion" in results
    assert not any(key.startswith(("test/elbo", "test/iw", "test/rate", "test/bits")) for key in results)
    run = vae_cli.load(tmp_path)
    assert run.model.prior().component_distribution.loc.abs().sum() > 0
    with pytest.raises(UserError, match="no density"):
        run.log_likelihood(torch.zeros(2, 64))


@pytest.mark.parametrize("posterior", ["full_covariance", pytest.param("diagonal", marks=pytest.mark.slow)])
def test_linear_gaussian_reaches_its_exact_likelihood(posterior, tmp_path):
    plane = ("dataset.dim=4", "dataset.latent_dim=2", "model.latent_dim=2", "dataset.train_size=3000")
    settings = (*plane, "dataset.val_size=200", "trainer.max_epochs=40")
    results = train(composed("experiment=linear_gaussian", f"posterior={posterior}", *settings), tmp_path)
    assert results["test/elbo"] == pytest.approx(results["exact/log_likelihood"], abs=0.02)
    gap = results["exact/model_log_likelihood"] - results["test/elbo"]
    assert gap == pytest.approx(results["exact/posterior_gap"], abs=0.01)


def test_a_checkpoint_that_is_damaged_is_named(finished, tmp_path):
    broken = tmp_path / "broken.ckpt"
    whole = (finished[0] / "checkpoints" / "best.ckpt").read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"broken.ckpt: not a readable checkpoint"):
        vae_cli.load(finished[0], ckpt=str(broken))
    with pytest.raises(UserError, match="no such checkpoint"):
        vae_cli.load(finished[0], ckpt=str(tmp_path / "none.ckpt"))
