"""Figures and side numbers never fail a run: those that fail are left out with a warning, and tiny data have them."""

import errno
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from tests.support.configs import composed
from tests.support.figures import Affine, Table, digits, draw, history, wine
from tests.support.training import train
from vae_cli.distributed.signals import Terminated, TimeLimit
from vae_cli.errors import ConfigError, UserError
from vae_cli.evaluation import optional
from vae_cli.evaluation.metrics.clusters import Clusters
from vae_cli.evaluation.metrics.gaps import InferenceGaps
from vae_cli.evaluation.metrics.latents import AggregatedPosterior
from vae_cli.figures import drawing
from vae_cli.figures.plane import Plane
from vae_cli.models.priors import ExPostGaussianMixture

LEFT_OUT = optional.left_out


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is left out with a warning, as in a run; other tests fail there."""
    monkeypatch.setattr(optional, "left_out", LEFT_OUT)


def fails(*_: object, **__: object) -> None:
    raise ValueError("two\nlines")


@pytest.mark.parametrize(
    "error", [ValueError("two\nlines"), UserError("of ours"), OSError(errno.EACCES, "no")], ids=str
)
def test_a_fault_is_one_line_that_names_it(error: Exception, warned: None, capfd: pytest.CaptureFixture[str]) -> None:
    with optional.optional("figure samples"):
        raise error
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("warning: figure samples: left out")
    assert str(error).split()[-1] in lines[0]


MEMORY = torch.OutOfMemoryError("CUDA out of memory")
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
STOPS = [KeyboardInterrupt(), SystemExit(1), Terminated(143), TimeLimit(143), MemoryError(), MEMORY, FULL]


@pytest.mark.parametrize("error", STOPS, ids=lambda error: type(error).__name__)
def test_signals_and_what_is_full_pass(error: BaseException, warned: None) -> None:
    with pytest.raises(type(error)), optional.optional("figure samples"):
        raise error
    with pytest.raises(RuntimeError), optional.optional("figure samples"):
        try:
            raise error
        except BaseException:
            if isinstance(error, Exception):
                raise RuntimeError("wrapped") from error
            raise RuntimeError("stop") from MemoryError()


NAMES = ["samples", "reconstructions", "traversals", "latent_space", "training_curves"]


@pytest.mark.parametrize("broken", NAMES)
@pytest.mark.parametrize("data", [digits(), wine()], ids=["images", "table"])
def test_a_figure_that_fails_is_left_out_alone(
    broken: str, data: Table, warned: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    failing = [replace(view, draw=fails) if view.name == broken else view for view in drawing.VIEWS]
    monkeypatch.setattr(drawing, "VIEWS", failing)
    drawn = draw(Affine(data, 3), data, history(2))
    assert set(drawn) == set(NAMES) - {broken}
    assert [line.split(":")[1] for line in capfd.readouterr().err.splitlines()] == [f" figure {broken}"]


def test_a_figure_that_cannot_be_saved_is_left_out_alone(
    tmp_path: Path, warned: None, capfd: pytest.CaptureFixture[str]
) -> None:
    drawn = {name: Figure() for name in ("traversals", "samples", "latent_space")}
    drawn["samples"].savefig = fails
    drawing.save(drawn, tmp_path / "figures")
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == set(drawn) - {"samples"}
    assert "figure samples" in capfd.readouterr().err


def test_a_folder_that_is_a_file_costs_the_figures_alone(tmp_path: Path, warned: None, capfd) -> None:
    (tmp_path / "figures").touch()
    drawing.save({}, tmp_path / "figures")
    assert capfd.readouterr().err.startswith("warning: figures: left out")


def run(folder: Path, *overrides: str, figures: bool = True) -> dict[str, Any]:
    return train(composed("evaluate.samples=2", "evaluate.elbo_samples=1", *overrides), folder, figures=figures)


SIDES: dict[str, tuple[object, str, str]] = {
    "mutual_information": (AggregatedPosterior, "compute", "numbers of the aggregated posterior"),
    "cluster_entropy": (Clusters, "compute", "numbers of the clusters"),
    "ais_log_likelihood": (InferenceGaps, "compute", "inference gaps"),
}


def test_a_run_keeps_its_main_numbers_where_every_side_number_and_figure_fails(
    tmp_path: Path, warned: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for home, name, _ in SIDES.values():
        monkeypatch.setattr(home, name, fails)
    monkeypatch.setattr(drawing, "collect", fails)
    overrides = ["dataset=digits", "network.hidden=[8]", "model.latent_dim=2", "trainer.max_epochs=1"]
    results = run(
        tmp_path,
        *overrides,
        "prior=mixture",
        "prior.components=2",
        "logger=tensorboard",
        "logger.images=1",
        "evaluate=gaps",
    )
    assert results["status"] == json.loads((tmp_path / "results.json").read_text())["status"] == "done"
    for name in ("elbo", "iw_log_likelihood", "distortion", "rate", "bits_per_dim"):
        assert np.isfinite(results[f"test/{name}"])
    assert not any(name.endswith(f"/{side}") for name in results for side in SIDES)
    assert [path.stem for path in sorted((tmp_path / "figures").glob("*.png"))] == ["training_curves"]
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert [line.removeprefix("warning: ").split(":")[0] for line in lines] == [
        "images for the logger", *(title for _, _, title in SIDES.values()), "figures of the test data",
    ]  # fmt: skip


KINDS: dict[str, list[str]] = {
    "vae": ["model=vae"],
    "vade": ["model=vade", "network.hidden=[8]", "pretraining.epochs=1", "prior.components=1", "initialisation=gmm"],
    "ae": ["model=ae"],
    "vqvae": ["model=vqvae", "second_stage.epochs=1"],
    "hvae": ["model=hvae"],
    "gan": ["model=gan", "network=mlp"],
    "aae": ["model=aae"],
    "d = 1": ["model=vae", "model.latent_dim=1"],
    "images for a logger": ["model=vae", "logger=tensorboard"],
    "gaps": ["evaluate=gaps", "evaluate.gaps.temperatures=3", "evaluate.gaps.refine_steps=2"],
}


FORMS = ["images", "images of a class", "table", "column", "constant"]
CASES = [(kind, FORMS[n % 5]) for n, kind in enumerate(KINDS)]
MORE = [(kind, FORMS[(n + 2) % 5]) for n, kind in enumerate(KINDS) if kind != "vqvae"]


@pytest.mark.parametrize(
    ("kind", "form"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)], ids=str
)
@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_splits_of_one_two_and_three_examples(
    kind: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left out, for `nothing_left_out` of conftest.py would raise."""
    drawn: dict[str, Figure] = {}
    monkeypatch.setattr(drawing, "save", lambda these, folder, kinds: drawn.update(these))  # files take seconds
    if kind == "vqvae" and not form.startswith("images"):
        form = "images"
    sizes = {"images": (2, 1, 1), "images of a class": (3, 2, 2), "table": (1, 1, 1), "column": (2, 1, 3)}
    train_size, val_size, test_size = sizes.get(form, (2, 0, 1)) if kind != "vade" else (2, 1, 1)
    count = train_size + val_size
    x = np.random.default_rng(0).normal(size=(count + test_size, 1 if form == "column" else 6))
    arrays: dict[str, Any] = {
        "x": load_digits(return_X_y=True)[0].reshape(-1, 8, 8)[: len(x)] / 16 if form.startswith("images") else x
    }
    if form == "images of a class":
        arrays["y"] = np.full(len(x), 3)
    if form == "constant" and kind != "vade":  # whose clusters start from codes that differ
        arrays["x"] = np.repeat(x[:1], len(x), 0)
    named = {f"{name}_{s}": v for name, a in arrays.items() for s, v in (("train", a[:count]), ("test", a[count:]))}
    np.savez(tmp_path / "tiny.npz", **named)
    size = [] if kind in ("d = 1", "hvae", "vqvae") else ["model.latent_dim=3"]
    width = [] if kind == "vqvae" else ["network.hidden=[8]"]
    data = ["dataset=array", f"dataset.path={tmp_path / 'tiny.npz'}", f"dataset.val_size={val_size}"]
    likelihood = ["likelihood=gaussian"] if kind == "hvae" else []
    results = run(tmp_path / "run", *data, *KINDS[kind], *size, *width, *likelihood, "trainer.max_epochs=1")
    assert results["status"] == "done"
    assert results["test/examples"] == test_size
    assert all(np.isfinite(results[name]) for name in ("test/elbo", "test/distortion") if name in results)
    assert "samples" in drawn
    for figure in drawn.values():
        figure.set_dpi(30)
        figure.canvas.draw()


def test_a_single_point_is_seen_in_its_first_two_coordinates() -> None:
    point = torch.tensor([[3.0, -1.0, 7.0]])
    plane = Plane(point, "z")
    assert plane(point).tolist() == [[3.0, -1.0]] and plane.labels == ["$z_{1}$", "$z_{2}$"]
    assert plane(torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])).tolist() == [[0.0, 1.0], [3.0, 4.0]]


@pytest.mark.parametrize("copies", [1, 4])
def test_a_mixture_of_equal_codes_is_one_gaussian_of_the_smallest_covariance(copies: int) -> None:
    prior = ExPostGaussianMixture(2, components=3, restarts=1, covariance_floor=0.25).eval()
    prior.fit(torch.tensor([[1.0, -2.0]]).repeat(copies, 1), seed=0)
    z = torch.tensor([[1.5, -2.0], [0.0, 0.0]])
    exact = torch.distributions.MultivariateNormal(torch.tensor([1.0, -2.0]), 0.25 * torch.eye(2))
    torch.testing.assert_close(prior().log_prob(z), exact.log_prob(z), atol=1e-4, rtol=1e-4)


EMPTY = {
    "network.channels": ["network=conv", "network=resnet", "model=vqvae"],
    "divergence.bandwidths": ["model=mmd_vae"],
    "divergence.scales": ["model=wae"],
    "trainer.devices": ["model=vae"],
}


@pytest.mark.parametrize(("key", "choice"), [(key, choice) for key, choices in EMPTY.items() for choice in choices])
def test_lists_that_need_a_value_are_refused_without_one(key: str, choice: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key}=\[\]: expected a.* list .* of at least one value"):
        composed("dataset=digits", choice, f"{key}=[]")


@pytest.mark.parametrize("choice", [["network=mlp", "network.hidden=[]"], ["prior=flow", "prior.hidden=[]"]], ids=str)
def test_no_hidden_layers_are_affine_maps(choice: list[str], tmp_path: Path) -> None:
    small = ["dataset=digits", "model.latent_dim=2", "trainer.max_epochs=1", "trainer.limit_batches=2"]
    assert np.isfinite(run(tmp_path, *small, *choice, figures=False)["test/elbo"])


def test_components_of_a_mixture_that_no_code_needs_leave_no_example_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", x=np.random.default_rng(0).normal(size=(12, 3)))
    data = ("dataset=array", f"dataset.path={tmp_path / 'few.npz'}", "likelihood=gaussian", "trainer.max_epochs=1")
    results = run(tmp_path / "run", "model=ae", "network=mlp", "prior.components=20", *data, figures=False)
    assert results["test/examples"] == 2 and np.isfinite(results["test/distortion"])


def test_a_signal_that_a_library_turns_into_an_error_passes(monkeypatch: pytest.MonkeyPatch, warned: None) -> None:
    raised = iter([None, signal.SIGINT])
    monkeypatch.setattr(optional.signals, "raised", lambda: next(raised))
    with pytest.raises(RuntimeError), optional.optional("figure samples"):
        raise RuntimeError("interrupted")
