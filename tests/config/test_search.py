"""Optuna's search: what it maximises, and a study that survives failures and goes on."""

import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.commands import Done, fingerprint, fork
from tests.support.plugins.fragile import PLUGIN
from vae_cli.config.compose import parse
from vae_cli.config.preflight import prepare_training
from vae_cli.config.search import score
from vae_cli.errors import ConfigError
from vae_cli.runs import study
from vae_cli.sweeps.optuna_sweeper import distribution

SMALL = ("dataset=digits", "network.hidden=[16]", "evaluate.samples=2", "trainer.accelerator=cpu", "logger=csv")
SUBSET = ("dataset.subset=300", "dataset.val_size=100", "hydra.sweep.dir=study", "figures=[]")
FRAGILE = ("objective._target_=fragile.Fragile", "trainer.max_epochs=2", "trainer.limit_batches=3")


@pytest.mark.parametrize(
    ("results", "value"),
    [
        ({"val/elbo": -3.0, "val/distortion": 1.0, "test/elbo": -2.0}, -3.0),
        ({"val/distortion": 1.5}, -1.5),
        ({"val/elbo": None}, -math.inf),
        ({"val/elbo": math.nan}, -math.inf),
        ({"status": "failed"}, -math.inf),
    ],
)
def test_what_a_search_maximises(results: dict[str, Any], value: float) -> None:
    assert score(results) == value


def search(work: Path, trials: int, choices: str = "2,4") -> Done:
    line = ["hparams_search=optuna", f"hydra.sweeper.n_trials={trials}", f"model.latent_dim={choices}"]
    return fork("vae-train", *SMALL, *FRAGILE, *line, "hydra.sweep.dir=study of mine", folder=work, **PLUGIN)


def trials(folder: Path) -> list[tuple[str, float | None]]:
    """State and value of each trial, in order, by the study's file."""
    return [(trial.state.name, trial.value) for trial in study.load(folder).trials]


def test_a_search_survives_a_failure_and_goes_on(tmp_path: Path) -> None:
    work = tmp_path / "work"
    folder = work / "study of mine"
    work.mkdir()
    (work / "diverge").touch()
    done = search(work, 2)
    assert done.code == 0
    assert len(done.err.splitlines()) == 1 and "the loss became nan" in done.err
    first, second = study.load(folder).trials
    assert first.datetime_complete and second.datetime_start and first.datetime_complete < second.datetime_start
    (state, worst), (_, value) = trials(folder)
    assert (state, worst) == ("COMPLETE", -math.inf)
    rows = json.loads((folder / "sweep.json").read_text())
    assert [row["status"] for row in rows] == ["failed", "done"]
    assert json.loads((folder / rows[1]["folder"] / "results.json").read_text())["val/elbo"] == value
    assert [(row["score"], row["best"]) for row in rows] == [(None, False), (value, True)]
    assert "done, best" in done.out
    (line,) = [line for line in done.out.splitlines() if line.startswith("train the best trial longer: vae-train ")]
    words = shlex.split(line)[6:]
    assert rows[1]["overrides"][0] in words and "trainer.max_epochs=8" in words
    assert not any(word.startswith(("hparams_search", "trainer.max_epochs=2")) for word in words)
    assert (folder / "figures/history.png").read_bytes().startswith(b"\x89PNG")
    best = study.load(folder).best_trial
    assert best.value == value and set(best.params) == {"optimizer.lr", "model.latent_dim"}

    (work / "interrupt").touch()
    done = search(work, 3)
    assert done.code == 130 and [state for state, _ in trials(folder)][2:] == ["RUNNING"]
    done = search(work, 3)
    assert (done.code, done.err) == (0, "")
    assert "resumes from its last checkpoint" in done.out and "epoch 1/2" not in done.out
    assert [state for state, _ in trials(folder)] == ["COMPLETE"] * 3
    rows = json.loads((folder / "sweep.json").read_text())
    assert [row["status"] for row in rows] == ["failed", "done", "done"]
    assert len({row["folder"] for row in rows}) == 3

    before, files = trials(folder), fingerprint(folder)
    done = search(work, 4, "2,4,8")
    assert done.code == 2 and "the study in study of mine chooses from 2,4, which cannot change" in done.err
    assert len(done.err.splitlines()) == 1 and fingerprint(folder) == files
    done = search(work, 3)
    assert trials(folder) == before and "epoch 1/" not in done.out and "continue with" not in done.out


UNLIKE = {
    "likelihood: a search cannot choose between a probability and a density": (
        ["dataset=array", "dataset.path=x.npz", "dataset.domain=levels"],
        "likelihood=discretised_logistic,continuous_bernoulli",
    ),
    "dataset.binarize: a search cannot choose between dynamic and threshold": (
        [],
        "dataset.binarize=dynamic,threshold",
    ),
    "dataset: a search cannot choose between Digits and MNIST": ([], "dataset=digits,mnist"),
    "dataset.val_seed: a search cannot choose between 0 and 1": ([], "dataset.val_seed=range(0,10)"),
    "dataset.val_size: a search cannot choose between 100 and 200": ([], "dataset.val_size=100,200"),
    "dataset.subset: a search cannot choose between null and 100": ([], "dataset.subset=null,100"),
    "dataset.domain: a search cannot choose between real and unit": (
        ["dataset=array", "dataset.path=x.npz"],
        "dataset.domain=real,unit",
    ),
    "trainer.limit_batches: a search cannot choose between null and 2": ([], "trainer.limit_batches=null,2"),
    "evaluate.batch_size: a search cannot choose between 10 and 20": (
        ["trainer.limit_batches=2"],
        "evaluate.batch_size=10,20",
    ),
    "evaluate.split: a search cannot choose between test and val": ([], "evaluate.split=test,val"),
    "evaluate.elbo_samples: a search cannot choose between 1 and 5": ([], "evaluate.elbo_samples=1,5"),
    "posterior: a search cannot choose between an ELBO and a distortion": (
        ["objective=wae"],
        "posterior=diagonal,deterministic",
    ),
}


ALIKE = ("dataset.subset", "dataset.val_size", "evaluate.batch_size", "evaluate.elbo_samples")
"""Keys that the rule refuses as it does dataset.val_seed and evaluate.split."""


@pytest.mark.parametrize(
    "message", [pytest.param(one, marks=[pytest.mark.slow] * one.startswith(ALIKE)) for one in UNLIKE]
)
def test_trials_that_cannot_be_compared_are_refused(message: str, workplace: Path) -> None:
    fixed, varied = UNLIKE[message]
    with pytest.raises(ConfigError, match=re.escape(message)):
        prepare_training(["hparams_search=optuna", "dataset=digits", *fixed, varied])
    assert not list(workplace.iterdir())


LIKE = [
    "dataset.batch_size=16,32",
    "posterior=diagonal,full_covariance",
    "evaluate.memory_mb=16,32",
    "prior=normal,vamp",
]


@pytest.mark.parametrize("varied", LIKE)
def test_trials_that_can_be_compared_are_let_through(varied: str, workplace: Path) -> None:
    prepare_training(["hparams_search=optuna", "dataset=digits", varied])


def test_a_sweep_chooses_nothing_and_may_vary_what_it_likes(workplace: Path) -> None:
    prepare_training(["-m", "dataset=digits", "dataset.binarize=dynamic,threshold"])


def test_a_search_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    line = [*SMALL[1:], "dataset=array", "dataset.path=x.npz", "trainer.max_epochs=1", "hydra.sweep.dir=study"]
    line += ["hparams_search=optuna", "model.latent_dim=2,4"]
    np.savez(work / "x.npz", x=np.random.default_rng(0).normal(size=(200, 3)))
    assert fork("vae-train", *line, "hydra.sweeper.n_trials=1", folder=work).code == 0
    files = fingerprint(work)
    done = fork("vae-train", *line, "hydra.sweeper.n_trials=2", "dataset.val_seed=1", folder=work)
    assert done.code == 2 and len(done.err.splitlines()) == 1 and fingerprint(work) == files
    assert "dataset.val_seed: a search cannot choose between 0 and 1" in done.err and "hydra.sweep.dir" in done.err
    np.savez(work / "x.npz", x=np.random.default_rng(1).normal(size=(200, 3)))
    done = fork("vae-train", *line, "hydra.sweeper.n_trials=2", folder=work)
    assert "an earlier trial of this search, of data that have changed since" in done.err
    assert [value for _, value in trials(work / "study")][1] == -math.inf


@pytest.mark.slow
def test_a_trial_with_the_values_of_an_earlier_one_is_not_run_again(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    line = ["hparams_search=optuna", "hydra.sweeper.params=null", "trainer.max_epochs=1", "model.latent_dim=2,4"]
    done = fork("vae-train", *SMALL, *SUBSET, *line, "hydra.sweeper.n_trials=5", folder=work)
    rows = json.loads((work / "study/sweep.json").read_text())
    assert done.code == 0 and len(rows) == 2 == done.out.count("epoch 1/1") and "done already" not in done.out
    by_size = {row["folder"].partition("=")[2]: row["score"] for row in rows}
    found = study.load(work / "study").trials
    assert [trial.value for trial in found] == [by_size[trial.params["model.latent_dim"]] for trial in found]


def test_choices_ranges_and_intervals_become_distributions() -> None:
    optuna = pytest.importorskip("optuna")
    d = optuna.distributions
    for text, expected in {
        "a=x,y": d.CategoricalDistribution(("x", "y")),
        "a=range(2,9,3)": d.IntDistribution(2, 8, step=3),
        "a=range(3)": d.IntDistribution(0, 2),
        "a=interval(0.5,4)": d.FloatDistribution(0.5, 4),
        "a=int(interval(1,4))": d.IntDistribution(1, 4),
        "a=tag(log,interval(1e-4,1))": d.FloatDistribution(1e-4, 1, log=True),
    }.items():
        assert distribution(parse([text])[0]) == expected, text
