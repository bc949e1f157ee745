"""What was loaded is compared with what the likelihood scores, by every command and by the Python interface."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import vae_cli
from tests.support.commands import Done, fingerprint, fork
from tests.support.configs import composed
from tests.support.plugins.strange import PLUGIN
from tests.support.training import train
from vae_cli.commands.run import Run
from vae_cli.errors import ConfigError, UserError

TINY = ("trainer.max_epochs=1", "evaluate.samples=2", "trainer.accelerator=cpu", "logger=none", "network.hidden=[8]")
OPTION = """_target_: strange.{}
batch_size: 50
val_size: 20
val_seed: 0
binarize: none
test_fraction: 0.2
test_seed: 0
"""
GAUSSIANS = "likelihood=gaussian|gaussian_decoder|gaussian_learned"


def refused(done: Done, *parts: str) -> None:
    assert done.code == 2, done.err
    assert len(done.err.splitlines()) == 1 and "Traceback" not in done.err
    for part in parts:
        assert part in done.err


@pytest.fixture
def place(workplace: Path) -> Path:
    (workplace / "vae_conf" / "dataset").mkdir(parents=True)
    for name in ("Real", "Claims", "Binary", "TestOnly"):
        (workplace / "vae_conf" / "dataset" / f"{name.lower()}.yaml").write_text(OPTION.format(name))
    return workplace


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["dataset=real"], ["Bernoulli", "dataset Real", "gives real data", GAUSSIANS, "dataset.binarize=dynamic"]),
        (["dataset=binary"], ["Bernoulli", "dataset Binary", "gives real data", GAUSSIANS]),
        (["dataset=claims", "likelihood=gaussian"], ["dataset Claims", "train: row 0 holds", "Gaussian scores real"]),
        (["dataset=claims", "dataset.binarize=static"], ["train: row 0 holds", "Bernoulli", "domain 'real'"]),
        (["dataset=claims", "dataset.binarize=dynamic"], ["train: row 0 holds", "Bernoulli", GAUSSIANS]),
        (["dataset=testonly"], ["dataset TestOnly", "test: row 7 holds 0.25", "Bernoulli scores binary", "unit"]),
    ],
)
def test_a_plug_in_is_refused_before_anything_is_written(place, arguments, parts):
    before = fingerprint(place)
    done = fork("vae-train", *arguments, *TINY, "hydra.run.dir=out/run", folder=place, **PLUGIN)
    refused(done, "vae-train: error: ", *parts)
    assert not (place / "out" / "run").exists()
    assert {name: value for name, value in fingerprint(place).items() if name != "out"} == before


def test_the_ways_out_work_and_the_run_stays_what_it_is(place):
    for likelihood in GAUSSIANS.removeprefix("likelihood=").split("|"):
        line = ["dataset=real", f"likelihood={likelihood}", *TINY, f"hydra.run.dir={likelihood}"]
        assert fork("vae-train", *line, folder=place, **PLUGIN).code == 0
    config = OmegaConf.load(place / "gaussian" / "config.yaml")
    config.likelihood = {"_target_": "vae_cli.models.likelihoods.Bernoulli"}
    OmegaConf.save(config, place / "gaussian" / "config.yaml")
    before = fingerprint(place / "gaussian")
    named = ("Bernoulli", "gives real data", GAUSSIANS)
    refused(fork("vae-eval", "run=gaussian", folder=place, **PLUGIN), *named)
    refused(fork("vae-train", "resume=gaussian", "trainer.max_epochs=2", folder=place, **PLUGIN), *named)
    assert fingerprint(place / "gaussian") == before


def test_a_sweep_goes_on_and_says_why_a_job_was_refused(place):
    line = ["-m", "dataset=real,digits", "dataset.val_size=20", *TINY, "hydra.sweep.dir=sweep"]
    done = fork("vae-train", *line, folder=place, **PLUGIN)
    assert done.code == 1 and len(re.findall(r"failed|done ", done.out)) >= 2
    assert "gives real data" in done.out


def npz_run(folder: Path, x: np.ndarray, *options: str) -> Run:
    np.savez(folder / "data.npz", x=x)
    train(composed("dataset=array", f"dataset.path={folder / 'data.npz'}", *options, *TINY), folder / "run")
    return vae_cli.load(folder / "run")


RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (300, 1, 4, 4), dtype=np.uint8)
MASK = (GREY > 127).astype(np.uint8)
LEVELS = ("dataset.domain=levels", "likelihood=discretised_logistic")
FILES = [
    (GREY, LEVELS),
    (np.round(GREY / 255, 5), LEVELS),
    ((GREY / 255).astype(np.float16), LEVELS),
    (GREY, ("dataset.domain=unit", "likelihood=continuous_bernoulli")),
    (GREY[:, 0] / 255, ("dataset.domain=unit", "likelihood=continuous_bernoulli")),
    (MASK, ("dataset.domain=binary", "likelihood=bernoulli")),
    (MASK.astype(bool), ("dataset.domain=binary", "likelihood=bernoulli")),
    (255 * MASK, ("dataset.domain=binary", "likelihood=bernoulli")),
    (MASK.reshape(300, 16), ("dataset.domain=real", "dataset.standardise=false")),
    (GREY.reshape(300, 16) % 7, ("dataset.domain=real", "dataset.standardise=false")),
]


@pytest.mark.parametrize(("x", "options"), FILES)
def test_python_reads_the_array_that_a_run_was_trained_on_as_the_run_did(tmp_path, x, options):
    run = npz_run(tmp_path, x, *options)
    rows, given = run.data.test.rows.numpy(), run.data.test.x
    kept = run.batch(x[rows]).x
    assert torch.equal(kept, given.float() / 255 if given.dtype == torch.uint8 else given)
    assert torch.isfinite(run.log_likelihood(x[:5], samples=2)).all()


def test_python_refuses_other_shapes_in_every_method_that_takes_x(tmp_path):
    colour = RNG.integers(0, 256, (300, 3, 4, 5), dtype=np.uint8)
    run = npz_run(
        tmp_path, colour, *LEVELS, "model=vade", "initialisation=gmm", "prior.components=2", "pretraining.epochs=1"
    )
    last = colour[:6].transpose(0, 2, 3, 1)
    for method in (run.encode, run.log_likelihood, run.responsibilities, run.cluster):
        method(colour[:6])
        with pytest.raises(UserError, match=r"channels last; transpose it .* takes \(N, 3, 4, 5\)"):
            method(last)
        for wrong in (colour[:6].reshape(6, 60), colour[:6].reshape(6, 60, 1), colour[:6].reshape(6, 12, 5)):
            with pytest.raises(UserError, match=r"takes \(N, 3, 4, 5\)"):
                method(wrong)
    for count in (0, -1, 2.5, True, "3"):
        with pytest.raises(UserError, match=r"samples=.*: an integer > 0"):
            run.log_likelihood(colour[:6], samples=count)  # pyright: ignore
        with pytest.raises(UserError, match=r"n=.*: an integer > 0"):
            run.sample(count)  # pyright: ignore


def test_a_loaded_run_whose_likelihood_does_not_score_its_data_is_refused(tmp_path):
    run = npz_run(tmp_path, RNG.normal(size=(300, 3)))
    config = OmegaConf.load(run.folder / "config.yaml")
    config.likelihood = {"_target_": "vae_cli.models.likelihoods.Bernoulli"}
    OmegaConf.save(config, run.folder / "config.yaml")
    with pytest.raises(ConfigError, match="scores binary data"):
        vae_cli.load(run.folder)
