"""Checkpoints that can be loaded and are wrong: refused in one line, and the run stays as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.commands import fork
from tests.support.resumption import kept, train
from vae_cli import load
from vae_cli.errors import UserError
from vae_cli.runs import checkpoints
from vae_cli.runs.folder import RunFolder


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
OF_WEIGHTS = ("a weight is missing", "a weight of another shape")
"""Faults that only the model shows."""


@pytest.mark.parametrize("fault", [name for name in (*TRAINING, *list(MODEL)[:8]) if name not in LATER + OF_WEIGHTS])
def test_a_checkpoint_that_no_training_can_go_on_from(fault: str, work: Path) -> None:
    tamper(work / "run", (TRAINING | MODEL)[fault], "last")
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
