"""Runs that go on: what is refused leaves them as they were, and what differs from a run at once is told."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from tests.support.commands import Done, fingerprint, fork
from tests.support.runs import results
from vae_cli import load
from vae_cli.errors import UserError
from vae_cli.report.groups import group
from vae_cli.report.runs import find
from vae_cli.runs import checkpoints
from vae_cli.runs.folder import RunFolder

SMALL = (
    "dataset=digits", "network.hidden=[16]", "model.latent_dim=2", "evaluate.samples=2", "logger=csv",
    "trainer.accelerator=cpu", "trainer.threads=1", "trainer.limit_batches=3",
)  # fmt: skip

DONE = "run: done already; use trainer.max_epochs=6 to train on\n"


def train(folder: Path, *line: str) -> Done:
    return fork("vae-train", *line, folder=folder)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a finished run of three epochs."""
    folder = tmp_path_factory.mktemp("resumption") / "original"
    folder.mkdir()
    done = train(folder, *SMALL, "trainer.max_epochs=3", "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    return folder


@pytest.fixture
def work(original: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(original, tmp_path / "work", symlinks=True))


def kept(run: Path) -> dict[str, str]:
    """What a refusal must not touch: everything but the log of what was asked and the lock."""
    return {name: digest for name, digest in fingerprint(run).items() if name not in ("vae-train.log", ".lock")}


REFUSED = [
    ("trainer.max_epochs=1", "has trained 3 epochs; use trainer.max_epochs=3 or more"),
    ("trainer.max_epochs=2", "use trainer.max_epochs=3 or more"),
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
    again = train(work, *way.split())
    assert (again.code, again.err, again.out) == (0, "", DONE)


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
    assert done.code == 2 and "second_stage has begun after 1 epochs; use trainer.max_epochs=1" in done.err
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


def tamper(run: Path, change: Callable[[dict[str, Any]], Any], *names: str) -> None:
    """Change what checkpoints hold, so that they can still be loaded."""
    for name in names or ("best", "last", "previous"):
        path = run / "checkpoints" / f"{name}.ckpt"
        checkpoint = torch.load(path, weights_only=True)
        change(checkpoint)
        torch.save(checkpoint, path)


def set_in(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(checkpoint: dict[str, Any]) -> None:
        for key in keys[:-1]:
            checkpoint = checkpoint[key]
        if value is None:
            del checkpoint[keys[-1]]
        else:
            checkpoint[keys[-1]] = value

    return change


MODEL = {
    "no weights": set_in("state_dict", value=None),
    "weights that are a list": set_in("state_dict", value=[torch.zeros(2)]),
    "a weight that is a number": set_in("state_dict", "model.posterior.encoder.1.weight", value=0.5),
    "a weight is missing": set_in("state_dict", "model.posterior.encoder.1.weight", value=None),
    "a weight of another shape": set_in("state_dict", "model.posterior.encoder.1.weight", value=torch.zeros(2, 3)),
    "no facts": set_in("data", value=None),
    "facts that are a number": set_in("data", value=3),
    "no shape": set_in("data", "event_shape", value=None),
    "a shape that is text": set_in("data", "event_shape", value="1, 8, 8"),
    "a shape of text": set_in("data", "event_shape", value=["1", "8", "8"]),
    "a negative shape": set_in("data", "event_shape", value=[1, -8, 8]),
    "a shape too large for any memory": set_in("data", "event_shape", value=[1, 10**7, 10**7]),
    "no domain": set_in("data", "domain", value=None),
    "an unknown domain": set_in("data", "domain", value="odd"),
    "an unknown fact": set_in("data", "odd", value=1),
    "a digest that is a number": set_in("data", "sha256", value=1),
}


@pytest.mark.parametrize("fault", MODEL)
def test_a_damaged_checkpoint_that_can_be_loaded(fault: str, work: Path) -> None:
    tamper(work / "run", MODEL[fault], "best")
    with pytest.raises(UserError, match=r"best\.ckpt: "):
        load(work / "run")
    assert load(work / "run", "last").sample(2).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("fault", ["no weights", "a weight of another shape", "a shape too large for any memory"])
def test_commands_name_the_checkpoints_that_are_left(fault: str, work: Path) -> None:
    tamper(work / "run", MODEL[fault], "best")
    before = kept(work / "run")
    for command in ("vae-eval", "vae-sample"):
        done = fork(command, "run=run", folder=work)
        assert done.code == 1 and len(done.err.splitlines()) == 1, done.err
        assert "best.ckpt" in done.err and "use another one, ckpt=last, ckpt=previous" in done.err
        assert "evaluate.memory_mb" not in done.err
    assert kept(work / "run") == before


LOOP = ("loops", "fit_loop")
TRAINING = {
    "no loops": set_in("loops", value=None),
    "loops that are a list": set_in("loops", value=[1]),
    "no progress": set_in(*LOOP, "epoch_progress", value=None),
    "progress in words": set_in(*LOOP, "epoch_progress", "current", "ready", value="three"),
    "no place of the loader": set_in(*LOOP, "state_dict", "combined_loader", value=None),
    "no optimiser": set_in("optimizer_states", value=None),
    "an optimiser of nothing": set_in("optimizer_states", value=[]),
    "an optimiser of other weights": set_in("optimizer_states", value=[{"state": {}, "param_groups": []}]),
    "no random state": set_in("callbacks", "RandomState", value=None),
    "no sums": set_in("sums", value=None),
    "no epoch": set_in("epoch", value=None),
}
LATER = ("an optimiser of nothing", "an optimiser of other weights")
"""Faults that only the model shows."""


@pytest.mark.parametrize("fault", [name for name in TRAINING if name not in LATER] + list(MODEL)[:8])
def test_a_checkpoint_that_no_training_can_go_on_from(fault: str, work: Path) -> None:
    tamper(work / "run", (TRAINING | MODEL)[fault], "last")
    if fault.startswith("a weight") and "number" not in fault:
        pytest.skip("only the model shows it")
    assert RunFolder(work / "run").newest_checkpoint().path.name == "previous.ckpt"
    tamper(work / "run", (TRAINING | MODEL)[fault], "previous")
    with pytest.raises(UserError, match=r"last\.ckpt: .*previous\.ckpt: "):
        RunFolder(work / "run").newest_checkpoint()


@pytest.mark.parametrize("fault", ["no loops", "a weight of another shape", *LATER])
def test_a_training_does_not_go_on_from_a_damaged_checkpoint(fault: str, work: Path) -> None:
    tamper(work / "run", (TRAINING | MODEL)[fault])
    before = kept(work / "run")
    done = train(work, "resume=run", "trainer.max_epochs=4")
    assert done.code == 1 and len(done.err.splitlines()) == 1, done.err
    assert "last.ckpt" in done.err and "Error:" not in done.err
    assert kept(work / "run") == before


def test_a_damaged_last_checkpoint_leaves_the_one_before(work: Path) -> None:
    tamper(work / "run", set_in("loops", value=None), "last")
    done = train(work, "resume=run", "trainer.max_epochs=4")
    assert done.code == 0 and "resumes from the one before, previous.ckpt" in done.err
    assert checkpoints.load(work / "run/checkpoints/last.ckpt")["epoch"] == 3


@pytest.mark.parametrize("change", ["dataset.standardise=true", "optimizer.amsgrad=true"])
def test_a_key_that_the_run_leaves_to_its_class_cannot_change(change: str, work: Path) -> None:
    np.savez(work / "x.npz", x=np.random.default_rng(0).normal(size=(60, 3)))
    table = ("dataset=array", "dataset.path=x.npz", "dataset.standardise=false", *SMALL[1:])
    assert train(work, *table, "trainer.max_epochs=1", "hydra.run.dir=old").code == 0
    file = work / "old" / "config.yaml"
    config = yaml.safe_load(file.read_text())
    del config["dataset"]["standardise"]
    file.write_text(yaml.safe_dump(config))
    before = kept(work / "old")
    done = train(work, "resume=old", "trainer.max_epochs=2", change)
    assert (done.code, len(done.err.splitlines())) == (2, 1) and "can change" in done.err, done.err
    assert kept(work / "old") == before
    assert train(work, "resume=old", "trainer.max_epochs=2").code == 0
