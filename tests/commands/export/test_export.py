"""Exports: each part agrees with the model for every option of the configuration, and runs without vae_cli."""

import ast
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tests.support.combinations import completed, values
from tests.support.commands import fork
from tests.support.configs import composed
from tests.support.exports import small_run
from tests.support.training import train
from vae_cli.commands.export import write
from vae_cli.commands.export.parts import Parts
from vae_cli.commands.run import Run, load
from vae_cli.config.command_schemas import ExportConfig
from vae_cli.errors import UserError

GROUPS = ("model", "posterior", "prior", "likelihood", "network", "refinement", "codebook")
GREY = {name: {"dataset.binarize": "none"} for name in values("likelihood") if "bernoulli" not in name}
GREY["continuous_bernoulli"] = {"dataset.binarize": "none"}
BYTES = {"dataset": "array", "dataset.path": "levels.npz", "dataset.domain": "levels"}
GREY |= {"categorical": BYTES, "discretised_logistic": BYTES}
COLUMNS = {"dataset": "linear_gaussian"}
CHOICES = [{group: option} for group in GROUPS for option in values(group) if (group, option) != ("codebook", "none")]


def overrides(choice: dict[str, str]) -> list[str]:
    choice = {"model": "vqvae", **choice} if "codebook" in choice else choice
    whole = {"dataset": "digits"} | completed(choice) | GREY.get(choice.get("likelihood", ""), {})
    return [f"{key}={value}" for key, value in whole.items()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("export") / "run"
    train(composed("dataset=digits", "network.hidden=[8]", "model.latent_dim=2", "trainer.max_epochs=1"), folder)
    return load(folder)


def exported(run: Run, form: str, out: Path) -> Path:
    return write.export_run(ExportConfig(str(run.folder), "best", form, str(out)))


def code(folder: Path) -> str:
    """The lines of Python of a model card."""
    found = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.S)
    assert found and "vae_cli" not in found[1] and len(ast.parse(found[1]).body) <= 12
    return found[1]


def normal(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return (-0.5 * ((x - mean) / scale) ** 2 - np.log(scale) - 0.5 * math.log(2 * math.pi)).sum(-1)


@pytest.mark.parametrize("form", ["onnx", pytest.param("torch", marks=pytest.mark.slow)])
def test_the_lines_of_the_card_encode_decode_and_score(run, tmp_path, monkeypatch, form):
    folder = exported(run, form, tmp_path / "model")
    x = np.random.default_rng(0).integers(0, 2, (7, 1, 8, 8)).astype(np.float32)
    np.save(folder / "x.npy", x)
    monkeypatch.chdir(folder)
    found = {}
    exec(code(folder), found)
    found = {name: np.asarray(found[name]) for name in ("mean", "scale", "z", "x_mean", "log_px", "log_w")}

    q = run.encode(x)
    np.testing.assert_allclose(found["mean"], q.mean, atol=1e-5)
    np.testing.assert_allclose(found["scale"], q.stddev, rtol=1e-5)
    pixels = run.decode(found["z"]).mean.numpy()
    np.testing.assert_allclose(found["x_mean"], pixels, atol=1e-5)
    log_px = np.where(x == 1, np.log(pixels), np.log1p(-pixels)).sum((1, 2, 3))
    np.testing.assert_allclose(found["log_px"], log_px, rtol=1e-4)
    log_w = log_px + normal(found["z"], 0, np.ones(2)) - normal(found["z"], found["mean"], found["scale"])
    np.testing.assert_allclose(found["log_w"], log_w, rtol=1e-4)


def test_the_card_has_the_numbers_the_data_and_the_configuration(run, tmp_path):
    folder = exported(run, "safetensors", tmp_path / "model")
    card = (folder / "README.md").read_text(encoding="utf-8")
    kept = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    number, error = run.results["test/elbo"], run.results["test/elbo_se"]
    assert f"| test/elbo | {number:.3f} ± {error:.3f} nats |" in card
    assert run.facts.sha256 in card and kept["data"]["event_shape"] == [1, 8, 8]
    assert kept["config"]["network"]["hidden"] == [8] and kept["results"]["test/elbo"] == number
    weights = load_file(folder / "model.safetensors")
    state = run.model.state_dict()
    assert weights.keys() == state.keys()
    assert all(np.array_equal(weights[name], state[name]) for name in state)


def test_the_command_writes_into_the_run_and_into_no_folder_with_files(run, tmp_path):
    work = run.folder.parent
    done = fork("vae-export", "run=run", "format=safetensors", folder=work)
    assert done.code == 0 and "written to run/export/safetensors" in done.out, done.err
    names = sorted(path.name for path in (work / "run/export/safetensors").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    again = fork("vae-export", "run=run", "format=safetensors", folder=work)
    assert again.code == 1 and "holds files already; use a new folder" in again.err


def test_a_part_that_differs_is_refused_and_leaves_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="the encoder that was written differs from the model by"):
        exported(run, "torch", tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("choice", "missing"),
    [
        ({"model": "gan"}, {"encoder": "NoEncoder lacks inference", "scorer": "NoEncoder lacks inference"}),
        ({"model": "ae"}, {"scorer": "Deterministic lacks a density"}),
        ({"model": "semi_amortised"}, {"encoder": "gradient steps", "scorer": "gradient steps"}),
        ({"posterior": "per_example"}, {"encoder": "lacks an encoder for any x", "scorer": "lacks an encoder"}),
    ],
)
def test_what_a_model_lacks_is_named(tmp_path, choice, missing):
    parts = Parts.of(small_run(tmp_path, *overrides(choice)).model)
    assert parts.left_out.keys() == missing.keys()
    assert all(words in parts.left_out[name] for name, words in missing.items())
    assert {part.name for part in parts.found} == {"encoder", "decoder", "scorer"} - missing.keys()


@pytest.mark.slow
@pytest.mark.parametrize("choice", [pytest.param(one, id="-".join(*one.items())) for one in [*CHOICES, COLUMNS]])
@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_each_option_agrees_with_the_model(tmp_path, monkeypatch, choice, form):
    monkeypatch.chdir(tmp_path)
    np.savez("levels.npz", x=np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8))
    run = small_run(tmp_path, *overrides(choice))
    parts = Parts.of(run.model)
    differences = write._graphs(run, parts, form, tmp_path)
    assert max(differences.values()) < write.TOLERANCE
    assert differences.keys() | parts.left_out.keys() == {"encoder", "decoder", "scorer"}


@pytest.mark.slow
def test_a_standardised_table_is_encoded_in_its_own_units(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = 1e4 + 50 * torch.randn(300, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    np.savez("table.npz", x=x.numpy())
    train(
        composed("dataset=array", "dataset.path=table.npz", "network.hidden=[8]", "trainer.max_epochs=1"), Path("run")
    )
    run = load("run")
    folder = exported(run, "onnx", tmp_path / "model")
    np.save(folder / "x.npy", x[:7].numpy())
    monkeypatch.chdir(folder)
    found = {}
    exec(code(folder), found)
    np.testing.assert_allclose(found["mean"], run.encode(x[:7]).mean, atol=1e-5)
    np.testing.assert_allclose(found["x_mean"], run.decode(found["z"]).mean, rtol=1e-6)
    log_px = run.decode(found["z"]).log_prob(x[:7])
    np.testing.assert_allclose(found["log_px"], log_px, rtol=1e-4)
