"""Trainings that take their steps together: models of one structure are stacked, and one backward pass serves all.

Each job keeps its loop, data, noise, optimiser, callbacks and files. It runs in a thread of its own, one thread at a
time, and pauses with each block of batches until all jobs have paused; then the conductor takes the steps of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn, TrainerStatus
from torch import Tensor

from vae_cli.distributed.streams import generator_of
from vae_cli.distributions.precision import float32
from vae_cli.errors import UserError, first_line, out_of_memory
from vae_cli.training.blocks import Block, BlockLoader
from vae_cli.training.checkpointing import LastCheckpoint
from vae_cli.training.engine import StepEngine
from vae_cli.training.joint import Joint
from vae_cli.training.lanes import ELEMENTWISE
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.stacking import Loss, structure

FITTING = TrainerFn.FITTING, TrainerStatus.RUNNING
MOST = 8
"""A block of several jobs lasts as long as those of so many jobs at most: signals are looked at between two blocks."""


@dataclass(frozen=True)
class Seat:
    """The place of a job beside others: their conductor, and a function that lets the others go on."""

    conductor: Conductor
    pause: Callable[[], None]


seat: ContextVar[Seat | None] = ContextVar("seat", default=None)
"""The seat of the job of the present thread."""


def step_engine(
    module: LatentModelModule, trainer: pl.Trainer, loader: BlockLoader, clip: float | None, captures: bool
) -> StepEngine:
    """The engine of a training; that of a job with a seat takes its steps with those of other jobs."""
    if present := seat.get():
        return Member(present, module, trainer, loader, clip, captures)
    return StepEngine(module, trainer, loader, clip, captures)


class Member(StepEngine):
    """The engine of a job beside others: it waits with each block until the conductor has taken its steps.

    alone: the reason why the job takes its steps alone; None if it may take them with others
    number: of the next batch of the block
    """

    def __init__(self, place: Seat, module: LatentModelModule, *arguments: Any) -> None:
        super().__init__(module, *arguments)
        self.seat = place
        place.conductor.engines[place] = self
        self.error: UserError | None = None
        self.alone: str | None = None
        self.kind: tuple[object, ...] = ()
        self.phase = -1
        self.rows: list[Tensor] = []

    def run(self, block: Block) -> None:
        """Train on the batches of a block, with other jobs where they fit."""
        self._look()
        if self.alone is not None:
            self.seat.conductor.alone.setdefault(self.folder, self.alone)
            super().run(block)
            return
        generator = generator_of(self.trainer.strategy.root_device)
        self.block, self.draws, self.number = block, iter(block), block.start
        self.rows, self.first, self.seconds = [], self.step, 0.0
        self.stream = generator.get_state()
        self.seat.conductor.waiting.append(self)
        self.seat.pause()
        generator.set_state(self.stream)
        if self.error is not None:
            raise self.error
        if self.number == block.stop:
            self._close(block, self.rows, self.first, self.seconds)
        else:
            super().run(Block(self.draws, block.start, block.stop, block.sizes, block.is_last))

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        return Path(self.trainer.default_root_dir).name

    def _look(self) -> None:
        """Find the kind of the present phase: jobs of one kind take their steps together."""
        self.position = self.module.position
        if self.phase == self.position.number:
            return
        self.phase, self.alone = self.position.number, self._obstacle()
        self.loss = Loss(self.module.model, self.position.phase.objective)
        if self.alone is None:
            try:
                whole = structure(self.loss)
            except Exception as error:  # a part that cannot be compared with others
                self.alone = first_line(error)
                return
            loader, precision = self.loader, self.trainer.precision_plugin.precision
            self.kind = whole, self.phase, tuple(loader.sizes), loader.accumulate, self.module.facts.examples, precision

    def _obstacle(self) -> str | None:
        """The setting that needs steps of its own, if any."""
        obstacles = {
            "several processes": self.trainer.world_size > 1,
            "trainer.precision=16-mixed": self.scaler is not None,
            "trainer.compile=true": self.position.phase.objective._compiled_call_impl is not None,
            "parameters with an optimiser of their own": bool(self.module.own_optimizers),
            f"optimizer {type(self.optimizer).__name__}": not isinstance(self.optimizer, ELEMENTWISE),
            "a callback acts within steps": self.is_watched,
        }
        return next((name for name, found in obstacles.items() if found), None)

    @property
    def completes_step(self) -> bool:
        """True if an optimiser step follows the next batch."""
        return self.loader.completes_step(self.number)

    @property
    def epoch(self) -> float:
        """The place of the next batch in the schedule, in epochs."""
        return self.module.current_epoch - self.position.start + self.number / len(self.loader.sizes)


class Conductor:
    """Takes the steps of all jobs that wait: those of one kind together.

    together: the largest number of jobs with which each job has taken steps, by the folder of its run
    alone: the reason why a job has taken steps alone, likewise
    """

    def __init__(self) -> None:
        self.waiting: list[Member] = []
        self.joints: list[Joint] = []
        self.together: dict[str, int] = {}
        self.alone: dict[str, str] = {}
        self.engines: dict[Seat, Member] = {}
        self.rehearsed: set[tuple[object, ...]] = set()

    def trains(self, place: Seat) -> bool:
        """True if a training is in progress there, which saves before it stops."""
        engine = self.engines.get(place)
        return engine is not None and (engine.trainer.state.fn, engine.trainer.state.status) == FITTING

    def advance(self, signal: int | None = None) -> None:
        """Take steps until a block of each kind is done; the jobs whose blocks are done no longer wait.

        Args:
            signal: asks all to save and stop after their blocks
        """
        for member in self.waiting:
            for callback in member.trainer.callbacks if signal else ():  # pyright: ignore[reportAttributeAccessIssue]
                if isinstance(callback, LastCheckpoint):
                    callback.signals.asked = signal
        for kind in dict.fromkeys(member.kind for member in self.waiting):
            self._advance([member for member in self.waiting if member.kind == kind])

    def _advance(self, alike: list[Member]) -> None:
        """Take the steps of the jobs that are first in the epoch, up to the end of a block or the place of another."""
        number = min(member.number for member in alike)
        members = [member for member in alike if member.number == number]
        begun = any(member.rows for member in members)
        if not begun and (len(alike) == 1 or not self._fit(members)):
            apart = [member for member in members if member.alone or len(alike) == 1]
            for member in apart:
                self.alone.setdefault(
                    member.folder, member.alone or "no other job of its process has a model of its structure"
                )
            self._leave(apart)
            return
        stop = min(other.block.stop if other.number == number else other.number for other in alike)
        joint, began = self._joint(members), time.perf_counter()
        joint.begin()
        with float32(), members[0].products():
            while members[0].number < stop and not any(member.error for member in members):
                joint.take()
        joint.publish()
        for member in members:
            member.seconds += (time.perf_counter() - began) / min(len(members), MOST)
        self._leave([member for member in members if member.error or member.number == member.block.stop])

    def _leave(self, members: Sequence[Member]) -> None:
        self.waiting = [member for member in self.waiting if member not in members]

    def _fit(self, members: Sequence[Member]) -> bool:
        """False if their models cannot be stacked, which a first batch shows; the halves of too many are two kinds."""
        if members[0].kind in self.rehearsed:
            return True
        draws = [next(member.draws) for member in members]
        for member, draw in zip(members, draws, strict=True):
            member.draws = chain([draw], member.draws)
        try:
            epochs = [member.epoch for member in members]
            Joint(members).losses([draw.batch() for draw in draws], epochs)[0].sum().backward()
        except Exception as error:  # torch raises many kinds of exception for what it cannot map over
            if out_of_memory(error) and len(members) > 1:
                for number, member in enumerate(members):
                    member.kind = *member.kind, number % 2
                return False
            for member in members:
                member.alone = f"its model cannot be stacked ({first_line(error)})"
            return False
        self.rehearsed.add(members[0].kind)
        return True

    def _joint(self, members: list[Member]) -> Joint:
        """The joint of these jobs, made anew where it was one of others."""
        for joint in [joint for joint in self.joints if set(joint.members) & set(members)]:
            if set(joint.members) == set(members) and joint.is_current:
                return joint
            joint.release()
            self.joints.remove(joint)
        for member in members:
            self.together[member.folder] = max(len(members), self.together.get(member.folder, 0))
        self.joints.append(Joint(members))
        self.joints[-1].stack.adopt()
        return self.joints[-1]
