"""A trained model at work: vae-encode, vae-score and vae-reconstruct, and the same from Python."""

import io
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal

import vae_cli
from tests.support.commands import fork, forked
from tests.support.configs import composed
from tests.support.models import set_best_posterior
from tests.support.training import train
from vae_cli.commands.apply import codes
from vae_cli.commands.run import Run
from vae_cli.runs import checkpoints
from vae_cli.runs.folder import RunFolder

TINY = ("trainer.max_epochs=1", "evaluate.samples=2", "network.hidden=[16]", "model.latent_dim=3")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with runs `digits` and `exact`; the latter has the density of the data and its posterior."""
    folder = tmp_path_factory.mktemp("apply") / "work"
    folder.mkdir()
    train(composed("dataset=digits", "prior=mixture", "prior.components=4", *TINY), folder / "digits")
    linear = (
        "network=linear",
        "posterior=full_covariance",
        "likelihood=gaussian",
        "likelihood.scale=0.5",
        "dataset.noise=0.5",
        "model.latent_dim=3",
    )
    options = ("dataset=linear_gaussian", *linear, "trainer.max_epochs=1", "trainer.limit_batches=1")
    train(composed(*options), folder / "exact")
    _make_exact(vae_cli.load(folder / "exact"))
    return folder


@torch.no_grad()
def _make_exact(run: Run) -> None:
    """Give the model the parameters that generated the data, and the exact posterior."""
    parameters, model = run.data.parameters, run.model
    assert parameters is not None
    model.likelihood.decoder[0].weight.copy_(parameters.weight)
    model.likelihood.decoder[0].bias.copy_(parameters.bias)
    set_best_posterior(model)
    path = RunFolder(run.folder).checkpoint("best")
    checkpoints.save(checkpoints.load(path) | {"state_dict": run.module.state_dict()}, path)


@pytest.fixture(scope="module")
def digits(work: Path) -> Run:
    return vae_cli.load(work / "digits")


def written(work: Path, command: str, *arguments: str) -> pd.DataFrame:
    """The table of a command."""
    (work / "table.csv").unlink(missing_ok=True)
    done = fork(command, *arguments, "out=table.csv", "trainer.accelerator=cpu", folder=work)
    assert (done.code, done.err) == (0, ""), done.err
    assert done.out.splitlines()[-1] == "written to table.csv"
    return pd.read_csv(work / "table.csv")


def test_scores_are_the_closed_form_of_each_row(work: Path) -> None:
    scores = written(work, "vae-score", "run=exact", "data=test", "samples=3", "reference=200")
    data = vae_cli.load(work / "exact").data
    assert data.parameters is not None
    weight, bias, noise = data.parameters.weight.numpy(), data.parameters.bias.numpy(), data.parameters.noise
    density = multivariate_normal(bias, weight @ weight.T + noise**2 * np.eye(len(bias)))
    assert list(scores["id"]) == data.test.rows.tolist()
    exact = density.logpdf(data.test.x.numpy())
    np.testing.assert_allclose(scores["iw_log_likelihood"], exact, atol=1e-4, rtol=0)
    np.testing.assert_allclose(-scores["distortion"] - scores["rate"], scores["elbo"], atol=1e-4)
    assert (scores["iw_log_likelihood_se"] < 3e-3).all() and (scores["iw_samples"] == 3).all()
    train = density.logpdf(data.train.x.numpy())
    share = 100 * (train[None] <= exact[:, None]).mean(1)
    assert np.abs(scores["percentile"] - share).max() < 100 * 5 * 0.5 / 200**0.5  # of 200 training examples


def test_shuffled_input_gives_shuffled_output(work: Path, digits: Run) -> None:
    """For any batch size: the draws of a row come from a seed of its own."""
    x = (digits.data.test.x[:1100] > 127).numpy().astype(np.float32)
    x = np.concatenate([x, x, x, x])[:1100]
    order = np.random.default_rng(0).permutation(len(x))
    np.save(work / "x.npy", x)
    np.save(work / "shuffled.npy", x[order])
    for command in ("vae-encode", "vae-score", "vae-reconstruct"):
        options = ["samples=5", "reference=0"] if command == "vae-score" else []
        one, other = (written(work, command, "run=digits", f"data={name}.npy", *options) for name in ("x", "shuffled"))
        assert list(other["id"]) == list(range(len(x)))
        np.testing.assert_allclose(other.iloc[:, 1:], one.iloc[order, 1:], atol=2e-4, rtol=1e-5)
    torch.testing.assert_close(digits.score(x[:3], 5).elbo, digits.score(x, 5).elbo[:3])


def test_codes_decode_to_the_reconstructions(work: Path, digits: Run) -> None:
    codes = written(work, "vae-encode", "run=digits", "data=test")
    shown = written(work, "vae-reconstruct", "run=digits", "data=test")
    x = digits.data.test.x.float() / 255
    means = codes.filter(like="mean_").to_numpy()
    decoded = digits.decode(means).mean.flatten(1)
    np.testing.assert_allclose(shown.filter(like="reconstruction_"), decoded, atol=1e-5)
    np.testing.assert_allclose(shown["squared_error"], (x.flatten(1) - decoded).square().sum(1), rtol=1e-4)
    torch.testing.assert_close(digits.reconstruct(x), decoded.view(x.shape), atol=1e-5, rtol=0)
    np.testing.assert_allclose(codes.filter(like="responsibility_").sum(axis=1), 1, atol=1e-5)
    assert codes["cluster"].tolist() == digits.cluster(x).tolist()
    spread = (codes.filter(like="draw_").to_numpy() - means) / codes.filter(like="scale_").to_numpy()
    assert spread.std() == pytest.approx(1, abs=0.1)
    assert codes["label"].tolist() == digits.data.test.y.tolist()


def test_arrays_of_an_npz_and_a_table_on_stdout_hold_the_same(work: Path) -> None:
    table = written(work, "vae-encode", "run=digits", "data=val")
    done = fork("vae-encode", "run=digits", "data=val", "out=codes.npz", folder=work)
    assert done.code == 0, done.err
    with np.load(work / "codes.npz") as arrays:
        assert arrays["mean"].shape == (200, 3) and arrays["id"].tolist() == table["id"].tolist()
        np.testing.assert_allclose(table.filter(like="mean_"), arrays["mean"], rtol=1e-5)
    done = fork("vae-encode", "run=digits", "data=val", "out=-", folder=work)
    assert (done.code, done.out) == (0, (work / "table.csv").read_text()), done.err


def test_python_takes_arrays_frames_paths_splits_and_iterators(work: Path, digits: Run) -> None:
    x = digits.data.test.x[:30].float() / 255
    np.save(work / "some.npy", x.numpy())
    want = digits.score(x, 5).log_likelihood
    flat = pd.DataFrame(x.flatten(1).numpy())
    given: list[Any] = [x.numpy(), flat, work / "some.npy", str(work / "some.npy"), iter([x[:10], x[10:].numpy()])]
    for one in given:
        torch.testing.assert_close(digits.score(one, 5).log_likelihood, want)
    torch.testing.assert_close(digits.score("test", 5).log_likelihood[:30], want)
    assert digits.log_likelihood(x, 5).equal(want)


def test_frames_and_csv_on_stdin_are_read_by_the_names_of_columns(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = np.random.default_rng(0)
    people = pd.DataFrame(draw.normal([170, 70], [10, 5], (120, 2)), columns=["height", "weight"])
    people.insert(0, "name", [f"p{number}" for number in range(120)])
    people.to_csv(work / "people.csv", index=False)
    place = f"dataset.path={work / 'people.csv'}"
    train(composed("dataset=table", place, "network.hidden=[4]", *TINY[:2], "model.latent_dim=1"), work / "people")
    run = vae_cli.load(work / "people")
    turned = people[["weight", "height"]]
    torch.testing.assert_close(run.score(turned, 3).elbo, run.score(work / "people.csv", 3).elbo)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(turned.to_csv(index=False).encode())))
    torch.testing.assert_close(run.score("-", 3).elbo, run.score(turned, 3).elbo)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((9 * turned).to_csv(index=False).encode())))
    run.score("-", 3)
    assert "warning: stdin: rows from 0: column height reaches" in capsys.readouterr().err
    with pytest.raises(vae_cli.UserError, match="no column height"):
        run.encode(turned[["weight"]])


def test_a_killed_command_leaves_no_table_and_starts_anew(work: Path) -> None:
    running = forked("vae-score", "run=digits", "data=train", "samples=100000", "out=late.csv", folder=work)
    assert running.end(signal.SIGKILL, after=2).code == -signal.SIGKILL
    assert not (work / "late.csv").exists()
    (work / f".late.csv.{2**22 + os.getpid()}.partial").touch()  # of a process that is no longer there
    done = fork("vae-score", "run=digits", "data=val", "samples=2", "reference=10", "out=late.csv", folder=work)
    assert done.code == 0, done.err
    assert len(pd.read_csv(work / "late.csv")) == 200
    assert not list(work.glob(".late.csv*"))


def test_samples_have_a_temperature_and_lie_between_examples(work: Path, digits: Run) -> None:
    torch.manual_seed(0)
    parts = digits.mixture.component_distribution
    far, near = (digits.draw(4000, 1, temperature=t) for t in (1.0, 0.5))
    torch.testing.assert_close(far.std(0), parts.stddev[1], rtol=0.1, atol=0)
    torch.testing.assert_close(near.std(0), 0.5 * parts.stddev[1], rtol=0.1, atol=0)
    inner = digits.draw(400, temperature=1e-6)  # one of the means of the components
    assert float(torch.cdist(inner, parts.mean.detach()).min(1).values.max()) < 1e-2
    done = fork("vae-sample", "run=digits", "between=[test:3,test:8]", "n=5", "out=line.npz", folder=work)
    assert (done.code, done.err, done.out) == (0, "", "written to line.npz\n"), done.err
    ends = digits.encode(digits.data.test.x[[3, 8]].float() / 255).mean.numpy()
    with np.load(work / "line.npz") as arrays:
        np.testing.assert_allclose(
            arrays["z"], ends[0] + np.linspace(0, 1, 5)[:, None] * (ends[1] - ends[0]), atol=1e-5
        )
        torch.testing.assert_close(torch.from_numpy(arrays["mean"]), digits.decode(arrays["z"]).mean)


def test_samples_as_a_table_are_in_the_units_of_the_data(work: Path) -> None:
    done = fork("vae-sample", "run=exact", "n=3000", "out=-", folder=work)
    assert (done.code, done.err) == (0, "")
    copy, x = pd.read_csv(io.StringIO(done.out)), vae_cli.load(work / "exact").data.train.x.numpy()
    assert list(copy) == [f"x_{k}" for k in range(10)]
    np.testing.assert_allclose(np.cov(copy.T), np.cov(x.T), atol=0.25 * np.cov(x.T).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "columns"),
    [
        (("model=vqvae",), ["code", "mean"]),
        (("model=hvae",), ["mean", "scale", "draw"]),
        (("posterior=iaf",), ["mean", "scale", "draw"]),
        (("posterior=categorical", "prior=uniform_categorical"), ["mean", "scale", "draw"]),
        (("model=semi_amortised",), ["mean", "scale", "draw"]),
        (("model=ae",), ["mean"]),
    ],
)
def test_each_kind_of_model_encodes_and_scores_rows_by_themselves(
    options: tuple[str, ...], columns: list[str], tmp_path: Path
) -> None:
    small = ("dataset=digits", "trainer.max_epochs=1", "trainer.limit_batches=2", "evaluate.samples=2")
    train(composed(*small, *options), tmp_path / "run")
    run = vae_cli.load(tmp_path / "run")
    batch = run.batch("val")
    found = codes(run, batch, 0)
    assert list(found) == columns
    few = codes(run, run.batch(run.data.val.x[:5].float() / 255), 0)
    for name, values in few.items():
        torch.testing.assert_close(values, found[name][:5], atol=1e-4, rtol=1e-4)
    if not run.model.has_density:
        with pytest.raises(vae_cli.UserError, match="no density"):
            run.score("val", 3)
        return
    scores = run.score("val", 3)
    assert (scores.iw_log_likelihood is None) == (not run.model.draws_vary)
    torch.testing.assert_close(
        run.score(run.data.val.x[:5].float() / 255, 3).elbo, scores.elbo[:5], atol=1e-3, rtol=1e-4
    )
