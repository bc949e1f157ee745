"""Blocks of batches: where they end, and that no number depends on it."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from tests.support.configs import composed
from tests.support.interruptions import rows, state
from tests.support.training import interrupted, train
from vae_cli.batch import Batch
from vae_cli.datasets import BatchLoader, Split
from vae_cli.errors import UserError
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives import ELBO, Progress, Terms
from vae_cli.runs.folder import RunFolder
from vae_cli.training import blocks, fit
from vae_cli.training.blocks import Block, BlockLoader
from vae_cli.training.engine import StepEngine

SMALL = (
    "dataset=digits", "network.hidden=[8]", "model.latent_dim=2", "evaluate.samples=2", "logger=csv",
    "trainer.max_epochs=2", "dataset.subset=300", "dataset.batch_size=16",
)  # fmt: skip
"""19 batches an epoch."""
LONG = 1e9
"""Seconds: an epoch is one block, after two blocks of one step."""


def loader(accumulate: int = 1, *steps: int) -> BlockLoader:
    """Blocks of 23 batches, the last of 3 examples; they end at these steps."""
    batches = BatchLoader(Split(torch.rand(91, 2)), batch_size=4, seed=0, shuffle=True, device=torch.device("cpu"))
    return BlockLoader(batches, accumulate, [lambda step: min((s for s in steps if s > step), default=10**9)])


def consumed(blocks: Iterator[Block], seconds: float, of: BlockLoader) -> list[tuple[int, int]]:
    """The ends of blocks that take these seconds a step."""
    found = []
    for block in blocks:
        assert [len(batch) for batch in block] == list(block.sizes) and block.total == sum(block.sizes)
        of.step_seconds = seconds
        found.append((block.start, block.stop))
    return found


def test_blocks_are_as_long_as_their_duration_allows() -> None:
    of = loader()
    assert consumed(iter(of), 0.05, of) == [(0, 1), (1, 6), (6, 11), (11, 16), (16, 21), (21, 23)]
    assert consumed(iter(of), 60.0, of)[1:] == [(n, n + 1) for n in range(5, 23)]


def test_blocks_end_at_whole_steps_and_where_a_callback_acts() -> None:
    of = loader(4, 2, 5, 6 + 1)
    assert consumed(iter(of), 1e-6, of) == [(0, 4), (4, 8), (8, 20), (20, 23)]
    assert consumed(iter(of), 1e-6, of) == [(0, 4), (4, 23)]


def test_a_pass_that_is_broken_off_goes_on_after_its_last_batch() -> None:
    whole, first, second = (loader() for _ in range(3))
    expected = [batch.index.tolist() for block in whole for batch in block]
    taken = iter(first)
    found = [batch.index.tolist() for _ in range(2) for batch in next(taken)]
    next(taken)  # which Lightning asks for before it trains on the block before
    second.load_state_dict(first.state_dict())
    rest = list(second)
    assert rest[0].start == 2 and [block.is_last for block in rest] == [False] * (len(rest) - 1) + [True]
    assert found + [batch.index.tolist() for block in loader_from(first) for batch in block] == expected


def loader_from(before: BlockLoader) -> BlockLoader:
    after = loader()
    after.load_state_dict(before.state_dict())
    return after


def trained(folder: Path, *line: str) -> Path:
    train(composed(*SMALL, *line), folder)
    return folder


CHANGES = {
    "plain": ("logger.every=4",),
    "accumulated": ("trainer.accumulate_grad_batches=4", "trainer.gradient_clip_val=0.5"),
    "phases": ("model=vade", "prior.components=2", "pretraining.epochs=1", "initialisation=gmm",
               "initialisation.fixed_epochs=1", "trainer.max_epochs=1"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_no_number_depends_on_the_blocks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for seconds in (1e-9, LONG):
        monkeypatch.setattr(blocks, "SECONDS", seconds)
        folders.append(trained(tmp_path / str(seconds), *CHANGES[name]))
    one, other = folders
    assert state(one, "last") == state(other, "last")
    assert rows(one) == rows(other)
    losses = [[row["step/loss"] for row in RunFolder(folder).steps()] for folder in folders]
    assert losses[0] == losses[1] and len(losses[0]) == {"plain": 9, "phases": 1}.get(name, 0)


ENDS = [pytest.param(1, marks=pytest.mark.slow), 7, pytest.param(20, marks=pytest.mark.slow)]


@pytest.mark.parametrize("step", ENDS)
def test_a_run_that_is_broken_off_after_a_block(step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "SECONDS", LONG)
    whole = trained(tmp_path / "whole")
    interrupted(composed(*SMALL), tmp_path / "run", "batch", step)
    assert state(tmp_path / "run", "last") == state(whole, "last")
    assert rows(tmp_path / "run") == rows(whole)


class Watch(pl.Callback):
    """Counts the calls of its hooks, and asks for the ends of blocks after steps 5 and 20."""

    def __init__(self) -> None:
        self.steps, self.blocks, self.indices = list[int](), list[int](), list[int]()

    def next_step(self, step: int) -> int:
        return 5 if step < 5 else 20 if step < 20 else 10**9

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: object) -> None:
        assert all(value.grad is not None for value in pl_module.parameters())
        self.steps.append(trainer.global_step)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch: Block, batch_idx: int) -> None:
        self.blocks.append(trainer.global_step)
        assert batch_idx == batch.start


def test_hooks_of_a_callback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those within a step are called at each one, those of a batch once a block."""
    monkeypatch.setattr(blocks, "SECONDS", LONG)
    made = list[Watch]()
    build = fit.build_callbacks
    monkeypatch.setattr(fit, "build_callbacks", lambda *parts: [*build(*parts), made.append(Watch()) or made[-1]])
    trained(tmp_path)
    (watch,) = made
    assert watch.steps == list(range(38)) and watch.blocks == [1, 2, 5, 19, 20, 38]


def diverges_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rate of this batch, counted from 0, and of all later ones be NaN."""
    forward = ELBO.forward

    def broken(self: ELBO, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        terms = forward(self, model, batch, progress)
        factor = torch.where(torch.as_tensor(progress.epoch) * 19 > number - 0.5, math.nan, 1.0)
        return Terms(terms.loss * factor, terms.metrics | {"rate": terms.metrics["rate"] * factor})

    monkeypatch.setattr(ELBO, "forward", broken)


@pytest.mark.parametrize("each", [True, False], ids=["read each step", "read once a block"])
@pytest.mark.parametrize("number", [0, 20])
def test_a_loss_that_is_not_finite(each: bool, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "SECONDS", LONG)
    monkeypatch.setattr(StepEngine, "reads_each_step", each)
    diverges_at(number, monkeypatch)
    where = f"nan at epoch {number // 19 + 1}, batch {number % 19 + 1}, step {number}[,;].* first term to go was rate"
    with pytest.raises(UserError, match=where):
        trained(tmp_path)


def test_numbers_that_are_read_once_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for each in (True, False):
        monkeypatch.setattr(StepEngine, "reads_each_step", each)
        folders.append(trained(tmp_path / str(each)))
    assert state(folders[0], "last") == state(folders[1], "last")
    assert rows(folders[0]) == rows(folders[1])
