"""trainer.accumulate_grad_batches against a plain loop over the mean of all examples of a window."""

import json
from pathlib import Path

import pytest
import torch

from tests.support.commands import fork
from tests.support.configs import composed
from tests.support.models import START
from tests.support.training import interrupted, train
from vae_cli.datasets.info import DatasetInfo
from vae_cli.models.model import StartsFromData
from vae_cli.runs import checkpoints
from vae_cli.training.build import build_module
from vae_cli.training.callbacks import RandomState

LR = 1e-3
SGD = (
    "dataset=digits", "network.hidden=[8]", "model.latent_dim=2", "optimizer=sgd", f"optimizer.lr={LR}",
    "optimizer.momentum=0", "optimizer.nesterov=false", "scheduler=constant", "dataset.binarize=static", "logger=csv",
    "dataset.val_size=0", "dataset.subset=90", "dataset.batch_size=16", "trainer.max_epochs=2", "evaluate.samples=2",
)  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state = checkpoints.load(folder / "checkpoints" / "last.ckpt")["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("model.")}


def plain_loop(config, accumulate: int, limit: int | None) -> dict[str, torch.Tensor]:
    """Two epochs of gradient descent on the mean loss over the examples of each step."""
    data = config.dataset.build().load()
    torch.manual_seed(config.seed)
    module = build_module(config, DatasetInfo.of(data))
    noise = RandomState(config.seed)
    assert not any(isinstance(piece, StartsFromData) for piece in module.model.modules())
    device = torch.device("cpu")
    loader = data.loader("train", batch_size=16, seed=config.seed, shuffle=True, device=device, limit=limit)
    noise.on_train_batch_start(None, module, None, 0)
    for _ in range(2):
        batches = list(loader)
        for start in range(0, len(batches), accumulate):
            step = batches[start : start + accumulate]
            losses = [module.objectives[0](module.model, batch, START).loss * len(batch) for batch in step]
            loss = torch.stack(losses).sum() / sum(map(len, step))
            gradients = torch.autograd.grad(loss, list(module.model.parameters()))
            with torch.no_grad():
                for value, gradient in zip(module.model.parameters(), gradients, strict=True):
                    value -= LR * gradient
    return {f"model.{name}": value for name, value in module.model.state_dict().items()}


@pytest.mark.parametrize(
    ("accumulate", "limit"),
    [
        (3, None),
        (4, 5),
        (50, None),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in [(1, None), (4, None), (2, 1)]),
    ],
)
def test_steps_are_those_of_a_plain_loop(accumulate, limit, tmp_path):
    """90 examples are five batches of 16 and one of 10."""
    limited = [] if limit is None else [f"trainer.limit_batches={limit}"]
    config = composed(*SGD, f"trainer.accumulate_grad_batches={accumulate}", *limited)
    results = train(config, tmp_path)
    assert results["train/steps"] == 2 * -(-(limit or 6) // accumulate)
    own, right = weights(tmp_path), plain_loop(config, accumulate, limit)
    for name, value in right.items():
        assert torch.allclose(own[name], value, rtol=1e-4, atol=1e-6), name


def test_a_resumed_epoch_accumulates_as_it_would_have(tmp_path):
    config = composed(*SGD, "trainer.accumulate_grad_batches=4")
    train(config, tmp_path / "whole")
    (tmp_path / "resumed").mkdir()
    interrupted(
        composed(*SGD, "trainer.accumulate_grad_batches=4"), tmp_path / "resumed", "batch", 3
    )  # the first of the second epoch
    own, right = weights(tmp_path / "resumed"), weights(tmp_path / "whole")
    assert all(torch.equal(own[name], right[name]) for name in right)


@pytest.mark.slow  # by default tests/distributed/test_process_group.py accumulates
def test_two_processes_accumulate_to_the_same_weights(tmp_path):
    for devices in (1, 2):
        line = [*SGD, "trainer.accelerator=cpu", "trainer.accumulate_grad_batches=4", f"trainer.devices={devices}"]
        done = fork("vae-train", *line, f"hydra.run.dir={devices}", folder=tmp_path)
        assert done.code == 0, done.err
        assert json.loads((tmp_path / str(devices) / "results.json").read_text())["train/steps"] == 4
    own, right = weights(tmp_path / "2"), weights(tmp_path / "1")
    for name, value in right.items():
        assert torch.allclose(own[name], value, rtol=1e-4, atol=1e-6), name
