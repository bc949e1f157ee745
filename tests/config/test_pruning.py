"""Searches whose pruner stops poor trials."""

import json
import re
import shlex
import statistics
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Done, fork, forked, start
from vae_cli.config.preflight import prepare_training
from vae_cli.errors import ConfigError
from vae_cli.runs import study
from vae_cli.runs.folder import RunFolder

SMALL = ("dataset=digits", "network.hidden=[16]", "evaluate.samples=2", "trainer.accelerator=cpu", "logger=csv")
PRUNED = ("dataset.subset=300", "dataset.val_size=100", "hydra.sweep.dir=study", "figures=[]")
FIRST = "callbacks.pruning.pruner"


def pruned_search(work: Path, *line: str) -> tuple[Done, list[dict[str, Any]], list[list[float]]]:
    """A search in a new folder: its end, the rows of its table, and the scores of each trial by epoch."""
    work.mkdir()
    command = ["vae-train", *SMALL, *PRUNED, *line, "model.latent_dim=2,4"]
    if "hydra/launcher=joblib" in line:  # a fork would wait at its end for joblib's processes, which wait for work
        done = start(*command, folder=work)
    else:
        done = forked(*command, folder=work).end(after=300)
    rows = json.loads((work / "study/sweep.json").read_text())
    histories = [RunFolder(work / "study" / row["folder"]).history() for row in rows]
    return done, rows, [[epoch["val/elbo"] for epoch in history] for history in histories]


@pytest.mark.slow
def test_a_trial_below_the_median_of_earlier_ones_stops(tmp_path: Path) -> None:
    line = ["hparams_search=median", f"{FIRST}.n_startup_trials=2", f"{FIRST}.n_warmup_steps=2"]
    done, rows, scores = pruned_search(tmp_path / "work", *line, "trainer.max_epochs=4", "hydra.sweeper.n_trials=5")
    assert (done.code, done.err) == (0, "")
    ends = [row["status"] for row in rows]
    assert ends[:2] == ["done", "done"] and set(ends) == {"done", "pruned"}
    for number, row in enumerate(rows):
        complete = [scores[n] for n in range(number) if ends[n] == "done"]
        best = [max(scores[number][: epoch + 1]) for epoch in range(len(scores[number]))]
        below = [
            1 <= epoch < 3 and value < statistics.median(other[epoch] for other in complete)
            for epoch, value in enumerate(best)
            if number >= 2
        ]
        assert row["score"] == max(scores[number]) and row["epochs"] == len(scores[number])
        assert any(below) == (ends[number] == "pruned") and not any(below[:-1])
    assert [trial.intermediate_values for trial in study.load(tmp_path / "work/study").trials] == [
        dict(enumerate(values, 1)) for values in scores
    ]
    (command,) = [one for one in done.out.splitlines() if one.startswith("train the best trial longer: vae-train ")]
    assert "pruning" not in command
    prepare_training(shlex.split(command)[6:])


@pytest.mark.parametrize(
    "launcher", [[], pytest.param(["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], marks=pytest.mark.slow)]
)
def test_trials_are_halved_and_a_pruned_one_goes_on(launcher: list[str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    line = ["hparams_search=halving", "hydra.sweeper.n_jobs=6", "hydra.sweeper.n_trials=6", *launcher]
    done, rows, scores = pruned_search(work, *line, "trainer.max_epochs=3")
    assert (done.code, done.err) == (0, "")
    trained = [len(values) for values in scores]
    assert set(trained) == {1, 3} and [row["status"] for row in rows] == [
        "pruned" if count == 1 else "done" for count in trained
    ]
    order = sorted(study.load(work / "study").trials, key=lambda trial: trial.number)
    rungs = [trial.system_attrs["completed_rung_0"] for trial in order]
    assert sorted(rungs) == sorted(values[0] for values in scores)  # each trial saw one shared file
    assert max(rungs) in [values[0] for values in scores if len(values) == 3]
    count = trained.count(1)
    assert f"pruned {count} of 6 trials, trained {sum(trained)} of 18 epochs; continue one, as in: " in done.out

    run = RunFolder(work / "study" / next(row["folder"] for row in rows if row["status"] == "pruned"))
    words = shlex.split(next(text for text in done.out.splitlines() if "continue one" in text).partition("as in: ")[2])
    results, state = run.results(), run.status()
    assert state and (state.state, state.starts[-1].end) == ("pruned", "pruned")
    assert results["train/stopped"] == "SuccessiveHalvingPruner after 1 of 3 epochs"
    assert run.state() == ("pruned", results["train/stopped"]) and not any(name.startswith("test/") for name in results)
    done = fork(*words, folder=work)
    assert (done.code, done.err) == (0, "") and "epoch 1/3" not in done.out
    assert run.is_done and run.results()["train/epochs"] == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["seed=0,1"], "seed=0,1: a search would choose the best seed"),
        ([f"{FIRST}.min_resource=0"], f"{FIRST}: The value of `min_resource` is 0"),
        ([f"{FIRST}.min_resource=20"], f"{FIRST}.min_resource=20: a pruner has to begin before epoch 20, the last"),
        ([f"{FIRST}.n_warmup_steps=2"], f"{FIRST}.n_warmup_steps: unknown key"),
        ([f"{FIRST}._target_=os.system"], f"{FIRST}._target_=os.system: only classes of"),
    ],
)
def test_pruners_that_cannot_prune_are_refused(settings: list[str], message: str, workplace: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        prepare_training(["hparams_search=halving", "dataset=digits", *settings])
