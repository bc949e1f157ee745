"""Runs that go on: what is refused leaves them as they were, and what differs from a run at once is told."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.support.commands import fork
from tests.support.resumption import SMALL, kept, train
from tests.support.runs import results
from vae_cli.report.groups import group
from vae_cli.report.runs import find
from vae_cli.runs import checkpoints

DONE = "run: done already; use trainer.max_epochs=6 to train on\n"


REFUSED = [
    ("trainer.max_epochs=1", "has trained 3 epochs; use trainer.max_epochs=3 or more"),
    ("trainer.devices=[0,1]", "use trainer.accelerator=auto trainer.devices=1"),
    ("evaluate.split=train evaluate.estimator=prior evaluate.samples=0", "evaluate.samples"),
]
if not torch.cuda.is_available():
    REFUSED.append(("trainer.accelerator=gpu", "use trainer.accelerator=auto trainer.devices=1"))


@pytest.mark.parametrize(
    ("way", "changes", "remedy"),
    [("resume=run", *one) for one in REFUSED] + [("ckpt=last hydra.run.dir=run", *REFUSED[0])],
)
def test_a_resumption_that_is_refused_leaves_the_run_as_it_was(way: str, changes: str, remedy: str, work: Path) -> None:
    before = kept(work / "run")
    done = train(work, *way.split(), *changes.split())
    assert done.code == 2 and remedy in done.err and len(done.err.splitlines()) == 1, done.err
    assert kept(work / "run") == before


def test_an_epoch_that_was_interrupted_does_not_count_as_trained(work: Path) -> None:
    saved = checkpoints.load(work / "run/checkpoints/last.ckpt")
    saved["loops"]["fit_loop"]["epoch_progress"]["current"] |= {"ready": 4, "started": 4}
    torch.save(saved, work / "run/checkpoints/last.ckpt")
    done = train(work, "resume=run", "trainer.max_epochs=2")
    assert "run has trained 3 epochs and begun epoch 4; use trainer.max_epochs=4 or more" in done.err


def test_the_remedies_of_a_refusal_work(work: Path) -> None:
    assert train(work, "resume=run", "trainer.max_epochs=3").out == DONE
    done = train(work, "resume=run", "trainer.max_epochs=4", "trainer.accelerator=auto", "trainer.devices=1")
    assert (done.code, done.err) == (0, "")
    assert results(work / "run")["train/epochs"] == 4
    header = dict(line.split(maxsplit=1) for line in done.out.splitlines()[:5])
    assert header["model"].startswith("vae, 2 latents, network mlp, posterior diagonal") and header["data"] == "digits"
    assert header["objective"].startswith("elbo, ") and ", 4 epochs, adam, " in header["objective"]
    stated = (*SMALL, "trainer.max_epochs=4", "trainer.accelerator=auto", "trainer.devices=1")
    command = shlex.split((work / "run/config.yaml").read_text().splitlines()[0].removeprefix("# "))
    assert command[0] == "vae-train" and set(command[1:]) == set(stated) - {"trainer.accelerator=cpu"}


def test_an_evaluation_that_is_refused_changes_nothing(work: Path) -> None:
    before = kept(work / "run")
    for change in ("trainer.precision=16-mixed", "evaluate.samples=0"):
        assert fork("vae-eval", "run=run", change, folder=work).code == 2
    assert kept(work / "run") == before


def test_epochs_stay_once_second_stage_has_begun(tmp_path: Path) -> None:
    line = [*SMALL, "prior=mixture", "prior.components=3", "second_stage=prior", "second_stage.epochs=2"]
    done = train(tmp_path, *line, "trainer.max_epochs=1", "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    before = kept(tmp_path / "run")
    done = train(tmp_path, "resume=run", "trainer.max_epochs=2")
    assert done.code == 2 and "second_stage has begun after 1 epoch; use trainer.max_epochs=1" in done.err
    assert kept(tmp_path / "run") == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_sweep_for_another_machine_does_not_set_its_runs_aside(tmp_path: Path) -> None:
    line = ("-m", *SMALL, "trainer.max_epochs=1", "seed=0", "hydra.sweep.dir=all")
    assert train(tmp_path, *line).code == 0
    (job,) = (path.parent for path in tmp_path.glob("all/*/config.yaml"))
    before = kept(job)
    preset = tmp_path / "vae_conf" / "experiment" / "mine.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("# @package _global_\n# mine\ntrainer:\n  accelerator: gpu\n", encoding="utf-8")
    done = train(tmp_path, *(word for word in line if "accelerator" not in word), "experiment=mine")
    assert done.code == 1 and "use trainer.accelerator=auto trainer.devices=1" in done.err
    assert kept(job) == before


def test_a_run_that_was_extended_is_no_repetition(work: Path) -> None:
    """One cycle over three epochs and then over five is another schedule than one over five."""
    assert train(work, "resume=run", "trainer.max_epochs=5").code == 0
    assert train(work, *SMALL, "trainer.max_epochs=5", "hydra.run.dir=once").code == 0
    assert results(work / "run")["continued_at"] == [3] and "continued_at" not in results(work / "once")
    groups = group(find([work]))
    assert [len(one.finished) for one in groups] == [1, 1]
    assert "[3]" in [one.choices.get("continued_at") and str(one.choices["continued_at"]) for one in groups]
    assert train(work, "resume=run", "trainer.max_epochs=6").code == 0
    assert results(work / "run")["continued_at"] == [3, 5]


def test_a_constant_rate_is_the_same_however_often_a_run_is_extended(tmp_path: Path) -> None:
    line = (*SMALL, "scheduler=constant")
    assert train(tmp_path, *line, "trainer.max_epochs=1", "hydra.run.dir=run").code == 0
    assert train(tmp_path, "resume=run", "trainer.max_epochs=2").code == 0
    assert train(tmp_path, *line, "trainer.max_epochs=2", "hydra.run.dir=once").code == 0
    assert "continued_at" not in results(tmp_path / "run")
    assert results(tmp_path / "run")["test/elbo"] == results(tmp_path / "once")["test/elbo"]
    (both,) = group(find([tmp_path]))
    assert len(both.runs) == 2


def test_a_key_that_the_run_leaves_to_its_class_cannot_change(work: Path) -> None:
    np.savez(work / "x.npz", x=np.random.default_rng(0).normal(size=(60, 3)))
    table = ("dataset=array", "dataset.path=x.npz", "dataset.standardise=false", *SMALL[1:])
    assert train(work, *table, "trainer.max_epochs=1", "hydra.run.dir=old").code == 0
    file = work / "old" / "config.yaml"
    config = yaml.safe_load(file.read_text())
    del config["dataset"]["standardise"]
    file.write_text(yaml.safe_dump(config))
    before = kept(work / "old")
    for change in ("dataset.standardise=true", "optimizer.amsgrad=true"):
        done = train(work, "resume=old", "trainer.max_epochs=2", change)
        assert (done.code, len(done.err.splitlines())) == (2, 1) and "can change" in done.err, done.err
    assert kept(work / "old") == before
    assert train(work, "resume=old", "trainer.max_epochs=2").code == 0
