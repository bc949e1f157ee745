"""Jobs of one kind as one: they take a step together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.distributed.streams import Streams
from vae_cli.distributions.overflow import LARGEST
from vae_cli.errors import UserError
from vae_cli.training.lanes import Lane, clip, settings
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
        starts = accumulate(map(len, lanes.values()), initial=0)
        self.lanes = [Lane(lane, self.stack, start) for lane, start in zip(lanes.values(), starts, strict=False)]
        self.clips = [member.clip for member in self.members]

    @property
    def is_current(self) -> bool:
        """False once the phase is another, or an optimiser has forgotten its state."""
        losses = [member.loss for member in self.members]
        return losses == list(self.stack.losses) and all(lane.is_current for lane in self.lanes)

    def losses(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor, Streams]:
        """Losses (J,), means of loss and terms (J, T), and the streams after the draws."""
        streams = Streams([member.stream for member in self.members], batches[0].x.device)
        with self.members[0].precision.forward_context():
            epochs = [member.epoch for member in self.members]
            losses, means = self.stack.means(batches, epochs, self.members[0].module.facts.examples, streams)
        return losses, means, streams

    def take(self) -> None:
        """Train on the next batch of each job; the last one of a window completes a step."""
        lead = self.members[0]
        batches, number, loader = [next(member.draws).batch() for member in self.members], lead.number, lead.loader
        losses, means, streams = self.losses(batches)
        rows = (means * len(batches[0])).unbind()
        if lead.reads_each_step and not bool((means[:, 0].abs() < LARGEST).all()):
            self._refuse(rows, batches)
        if number % loader.accumulate == 0:
            self.stack.forget_gradients()
        (losses.sum() * loader.window_weights[number] / loader.accumulate).backward()
        if loader.completes_step(number):
            self._step()
        for member, row, state in zip(self.members, rows, streams.states, strict=True):
            member.rows.append(row)
            member.number, member.stream, member.module.names = number + 1, state, self.stack.names

    def _refuse(self, rows: Sequence[Tensor], batches: Sequence[Batch]) -> None:
        """Keep the error of each job whose loss is not finite."""
        for member, row, batch in zip(self.members, rows, batches, strict=True):
            member.module.names = self.stack.names
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
        clip(self.stack.parameters.values(), self.clips)
        for lane in self.lanes:
            lane.step()
        for member in self.members:
            member.steps.increment_ready()
            member.steps.increment_completed()

    def publish(self) -> None:
        for lane in self.lanes:
            lane.publish()

    def release(self) -> None:
        """Give each job parameters and an optimiser of its own again."""
        self.stack.release()
        for lane in self.lanes:
            lane.release()
