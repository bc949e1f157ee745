"""Jobs of one kind as one: they take a step together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.distributed.streams import Streams
from vae_cli.distributions.overflow import LARGEST
from vae_cli.errors import UserError
from vae_cli.training.captured import CapturedSteps
from vae_cli.training.lanes import Lane, clip, settings
from vae_cli.training.recorded import RecordedGradients, gradients
from vae_cli.training.recorder import Results
from vae_cli.training.stacking import Stack

if TYPE_CHECKING:
    from vae_cli.training.together import Member


class Joint:
    """Jobs of one kind as one: their stack, and an optimiser for each setting."""

    def __init__(self, members: Sequence[Member]) -> None:
        lanes: dict[bytes, list[Member]] = {}
        for member in members:
            lanes.setdefault(settings(member), []).append(member)
        self.members = [member for lane in lanes.values() for member in lane]
        self.stack = Stack([member.loss for member in self.members])
        self.trained = [value for value in self.stack.parameters.values() if value.requires_grad]
        starts = accumulate(map(len, lanes.values()), initial=0)
        self.lanes = [Lane(lane, self.stack, start) for lane, start in zip(lanes.values(), starts, strict=False)]
        self.streams = Streams([member.stream for member in self.members], self.stack.device)
        limits = [float("inf") if member.clip is None else member.clip for member in self.members]
        self.limits = None if set(limits) == {float("inf")} else torch.tensor(limits, device=self.stack.device)

    @property
    def is_current(self) -> bool:
        """False once the phase is another, or an optimiser has forgotten its state."""
        losses = [member.loss for member in self.members]
        return losses == list(self.stack.losses) and all(lane.is_current for lane in self.lanes)

    @cached_property
    def captured(self) -> CapturedSteps | None:
        """Recorded steps, where the jobs record theirs."""
        if not all(member.captures for member in self.members):
            return None
        return CapturedSteps(self._take, [lane.optimizer for lane in self.lanes], self.streams.generators)

    @cached_property
    def recorded(self) -> RecordedGradients | None:
        """Recorded gradients, where the jobs record theirs."""
        if not all(member.records for member in self.members):
            return None
        return RecordedGradients(self._gradients, [self.stack.lead], self.streams)

    def begin(self) -> None:
        """Continue the random streams of the jobs."""
        self.streams.set_states([member.stream for member in self.members])

    def losses(self, batches: Sequence[Batch], epochs: Sequence[float] | Tensor) -> tuple[Tensor, Tensor]:
        """Losses (J,), and means of loss and terms (J, T)."""
        with self.members[0].precision.forward_context():
            return self.stack.means(batches, epochs, self.members[0].module.facts.examples, self.streams)

    def _gradients(self, batches: Sequence[Batch], epochs: Tensor) -> Results:
        losses, means = self.losses(batches, epochs)
        return means, gradients(losses.sum(), self.trained)

    def take(self) -> None:
        """Train on the next batch of each job; the last one of a window completes a step."""
        draws, epochs = [next(member.draws) for member in self.members], [member.epoch for member in self.members]
        completes = self.members[0].completes_step
        if completes:
            for lane in self.lanes:
                lane.set_rates()
        if self.captured and not any(member._is_observed for member in self.members):
            rows = self.captured(draws, epochs)
        else:
            rows = self._take([draw.batch() for draw in draws], epochs)
        for member, row in zip(self.members, rows.unbind(), strict=True):
            member.rows.append(row)
            member.number += 1
            if completes:
                member.steps.increment_ready()
                member.steps.increment_completed()

    def _take(self, batches: Sequence[Batch], epochs: Sequence[float] | Tensor) -> Tensor:
        """The sums of loss and terms (J, T) of a batch of each job, after gradients and, if it is due, a step."""
        lead = self.members[0]
        means = self._differentiate(batches, epochs)
        for member in self.members:
            member.module.names = self.stack.names
        rows = means * len(batches[0])
        if lead.reads_each_step and not bool((means[:, 0].abs() < LARGEST).all()):
            self._refuse(rows.unbind(), batches)
        if lead.completes_step:
            self._step()
        return rows

    def _differentiate(self, batches: Sequence[Batch], epochs: Sequence[float] | Tensor) -> Tensor:
        """The means of loss and terms (J, T); their gradients are those of the stacked parameters, or are added."""
        lead = self.members[0]
        if self.recorded:
            means, found = self.recorded(batches, epochs)
            for parameter, gradient in zip(self.trained, found, strict=True):
                parameter.grad = gradient
            return means
        losses, means = self.losses(batches, epochs)
        if lead.number % lead.loader.accumulate == 0:
            self.stack.forget_gradients()
        (losses.sum() * lead.loader.window_weights[lead.number] / lead.loader.accumulate).backward()
        return means

    def _refuse(self, rows: Sequence[Tensor], batches: Sequence[Batch]) -> None:
        """Keep the error of each job whose loss is not finite."""
        for member, row, batch in zip(self.members, rows, batches, strict=True):
            try:
                member._check(row, member.number, member.step, batch.x)
            except UserError as error:
                member.error = error

    def _step(self) -> None:
        """Clip, let callbacks see the gradients, and let each optimiser take its step."""
        observed = [member for member in self.members if member._is_observed]
        if observed:
            self.stack.lend_gradients()
        for member in observed:
            member.module.set_rates(member.optimizer, member.step, member.position)
            member._call("on_before_optimizer_step", member.optimizer)
        if self.limits is not None:
            clip(self.stack.parameters.values(), self.limits)
        for lane in self.lanes:
            lane.step()

    def publish(self) -> None:
        """Let each job have the state of its row: of its optimiser and of its random stream."""
        for member, state in zip(self.members, self.streams.states, strict=True):
            member.stream = state
        for lane in self.lanes:
            lane.publish()

    def release(self) -> None:
        """Give each job parameters and an optimiser of its own again."""
        self.stack.release()
        for lane in self.lanes:
            lane.release()
