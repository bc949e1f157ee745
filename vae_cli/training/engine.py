"""The optimiser steps of a training, in one loop over the batches of a block."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from vae_cli.batch import Batch
from vae_cli.distributed.process_group import all_reduce_sum
from vae_cli.distributed.shard import shard_context
from vae_cli.distributions.overflow import LARGEST
from vae_cli.distributions.precision import float32, tf32
from vae_cli.objectives import Progress, Terms
from vae_cli.training.blocks import ActsAtSteps, Block, BlockLoader
from vae_cli.training.captured import CapturedSteps
from vae_cli.training.fused_adam import call_kernel
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.phases import Phase, PhasePosition
from vae_cli.training.recorded import RecordedGradients, gradients
from vae_cli.training.recorder import Results

HOOKS = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
"""Hooks of callbacks within a step."""


def unchecked(optimizer: Optimizer) -> Optimizer:
    """The optimiser without its check for CUDA graphs, for a CPU; a fused Adam calls its kernel.

    The check asks the driver for GPUs at each step, which takes a tenth of a millisecond.
    """
    setattr(optimizer, "_accelerator_graph_capture_health_check", lambda: None)  # noqa: B010
    call_kernel(optimizer)
    return optimizer


class StepEngine:
    """Takes the steps of a block: forward, backward, clipping, learning rate, optimiser, sums of the terms.

    A CPU checks each loss before it takes its gradient; any other device is read once a block.

    Args:
        clip: largest norm of the gradient; None: any
        captures: record steps and repeat them: on one GPU as CUDA graphs, on a CPU as graphs of operators
    """

    def __init__(
        self, module: LatentModelModule, trainer: pl.Trainer, loader: BlockLoader, clip: float | None, captures: bool
    ) -> None:
        self.module, self.trainer, self.loader, self.clip = module, trainer, loader, clip
        self.parameters, self.precision = tuple(module.parameters()), trainer.precision_plugin
        self.scaler: torch.amp.GradScaler | None = getattr(self.precision, "scaler", None)
        self.steps = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        self.hooks = {name: self._overrides(name) for name in HOOKS}
        owners = [hook.__self__ for hooks in self.hooks.values() for hook in hooks]  # pyright: ignore[reportFunctionMemberAccess]
        self.watchers = [owner for owner in owners if isinstance(owner, ActsAtSteps)]
        self.is_watched = len(self.watchers) < len(owners)
        repeats = captures and trainer.world_size == 1 and loader.accumulate == 1 and self.scaler is None
        on_cpu = trainer.strategy.root_device.type == "cpu"
        self.captures = repeats and not on_cpu
        self.records = repeats and on_cpu and not module.compiled and not module.own_optimizers
        self.captured: tuple[Phase, CapturedSteps] | None = None
        self.recorded: tuple[Phase, RecordedGradients] | None = None

    @cached_property
    def optimizer(self) -> Optimizer:
        """The optimiser, which Lightning has built when the training begins."""
        (optimizer,) = self.trainer.optimizers
        return unchecked(optimizer) if self.reads_each_step else optimizer

    def run(self, block: Block) -> None:
        """Train on the batches of a block; the last one completes a step."""
        began, first, position, rows = time.perf_counter(), self.step, self.module.position, list[Tensor]()
        captured, recorded = self._captured(position), self._recorded(position)
        with float32(), self.products():  # autocast is for the forward pass alone
            for number, draw in enumerate(block, block.start):
                epoch = self.module.current_epoch - position.start + number / len(self.loader.sizes)
                completes = self.loader.completes_step(number)
                if completes:
                    self.module.set_rates(self.optimizer, self.step, position)
                if captured and not self._is_observed:
                    rows.append(captured([draw], [epoch]))
                elif recorded and not self._is_observed:
                    rows.append(self._repeat(recorded, draw.batch(), epoch, number))
                else:
                    rows.append(self._take(draw.batch(), epoch, number, position))
                if completes:
                    self.steps.increment_ready()
                    self.steps.increment_completed()
        self._close(block, rows, first, time.perf_counter() - began)

    def _close(self, block: Block, rows: list[Tensor], first: int, seconds: float) -> None:
        """Count the steps of a block since step `first`, and add its sums of terms."""
        self.module.set_rates(self.optimizer, self.step)
        if not self.reads_each_step:
            rows = [*all_reduce_sum(torch.stack(rows)).cpu()]
            for number, row in enumerate(rows, block.start):
                self._check(row, number, first + (number - block.start) // self.loader.accumulate)
        self.module.add(rows, block)
        self._count(len(block) - 1, self.step - first - 1)
        self.loader.step_seconds = seconds / (self.step - first)

    def products(self) -> AbstractContextManager[object]:
        """On a GPU products may be in TF32, unless the code is compiled, which cannot exempt densities."""
        return nullcontext() if self.reads_each_step or self.module.compiled else tf32(True)

    @property
    def reads_each_step(self) -> bool:
        """True if reading a loss does not wait for the device."""
        return self.trainer.strategy.root_device.type == "cpu"

    @property
    def step(self) -> int:
        """Number of optimiser steps taken: Lightning's global_step."""
        return self.steps.total.completed

    @property
    def _is_observed(self) -> bool:
        """True if a callback looks into the next step: at each, or at those that it names."""
        step = self.step
        return self.is_watched or any(watcher.next_step(step) == step + 1 for watcher in self.watchers)

    def _captured(self, position: PhasePosition) -> CapturedSteps | None:
        """The recorded steps of a phase; None if steps are eager."""
        if not self.captures:
            return None
        if self.captured is None or self.captured[0] is not position.phase:
            self.captured = position.phase, CapturedSteps(partial(self._take_first, position), [self.optimizer])
        return self.captured[1]

    def _take_first(
        self, position: PhasePosition, batches: Sequence[Batch], epochs: Sequence[float] | Tensor
    ) -> Tensor:
        return self._take(batches[0], epochs[0], 0, position)

    def _recorded(self, position: PhasePosition) -> RecordedGradients | None:
        """The recorded gradients of a phase; None if each step runs as it is."""
        if not self.records:
            return None
        if self.recorded is None or self.recorded[0] is not position.phase:
            take, parts = partial(self._gradients, position), (self.module.model, position.phase.objective)
            steps, plan = (position.end - position.start) * self.module.steps_per_epoch, self.module.plan
            shared = None if plan is None else (plan, position.number)
            self.recorded = position.phase, RecordedGradients(take, parts, plan=shared, steps=steps)
        return self.recorded[1]

    def _gradients(self, position: PhasePosition, batches: Sequence[Batch], epochs: Tensor) -> Results:
        terms = self._forward(batches[0], epochs[0], position)
        trained = [parameter for parameter in self.parameters if parameter.requires_grad]
        return self._means(terms).unsqueeze(0), gradients(terms.loss, trained)

    def _repeat(self, recorded: RecordedGradients, batch: Batch, epoch: float, number: int) -> Tensor:
        """The sums of the terms of a batch, after a step by recorded gradients."""
        (means,), found = recorded([batch], [epoch])
        sums = means * len(batch)
        self._check(sums, number, self.step, batch.x)
        trained = (parameter for parameter in self.parameters if parameter.requires_grad)
        for parameter, gradient in zip(trained, found, strict=True):
            parameter.grad = gradient
        self._step()
        return sums

    def _take(self, batch: Batch, epoch: float | Tensor, number: int, position: PhasePosition) -> Tensor:
        """The sums of the terms of a batch, after its gradient and, if it completes one, an optimiser step."""
        terms = self._forward(batch, epoch, position)
        sums = self._sums(terms, batch)
        if self.reads_each_step:
            sums = all_reduce_sum(sums)
            self._check(sums, number, self.step, batch.x)
        self._backward(self._weighted(terms.loss, batch, number), number)
        if self.loader.completes_step(number):
            self._step()
        return sums

    def _forward(self, batch: Batch, epoch: float | Tensor, position: PhasePosition) -> Terms:
        with self.precision.forward_context(), shard_context(batch.share):
            return position.phase.objective(self.module.model, batch, Progress(epoch, self.module.facts.examples))

    def _sums(self, terms: Terms, batch: Batch) -> Tensor:
        """Loss and terms, summed over the examples of this process."""
        return self._means(terms) * (batch.share.count if batch.share else len(batch))

    def _means(self, terms: Terms) -> Tensor:
        """Loss and terms, means over the examples."""
        self.module.names = tuple(terms.metrics)
        with torch.no_grad():
            return torch.stack([terms.loss, *terms.metrics.values()])

    def _check(self, sums: Tensor, number: int, step: int, x: Tensor | None = None) -> None:
        """End the training if the loss of a batch is not finite."""
        loss = sums[0].item() / self.loader.sizes[number]
        if not abs(loss) < LARGEST:
            names = zip(self.module.names, sums[1:], strict=True)
            broken = [name for name, value in names if name != "loss" and not value.isfinite()]
            term = broken[0] if broken else "loss"
            self.module.diverged(f"the loss became {loss} at", f"batch {number + 1}, ", term, step, x)

    def _weighted(self, loss: Tensor, batch: Batch, number: int) -> Tensor:
        """The part of a batch in the mean over the examples of its step."""
        weight = self.loader.window_weights[number] * (batch.share.weight if batch.share else 1.0)
        loss = loss if weight == 1 else loss * weight
        return loss if self.loader.accumulate == 1 else loss / self.loader.accumulate

    def _backward(self, loss: Tensor, number: int) -> None:
        strategy = self.trainer.strategy
        if number % self.loader.accumulate == 0:
            self._call("on_before_zero_grad", self.optimizer)
            for parameter in self.parameters:
                parameter.grad = None  # as zero_grad, without its profiling
        self._call("on_before_backward", loss)
        parallel = isinstance(strategy, ParallelStrategy) and not self.loader.completes_step(number)
        with strategy.block_backward_sync() if parallel else nullcontext():  # pyright: ignore[reportAttributeAccessIssue]
            strategy.pre_backward(loss)
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        self._call("on_after_backward")
        for part in self.module.own_optimizers:
            part.step_after_backward()

    def _step(self) -> None:
        if self.scaler is not None and not getattr(self.optimizer, "_step_supports_amp_scaling", False):
            self.scaler.unscale_(self.optimizer)
        self._call("on_before_optimizer_step", self.optimizer)
        if self.clip:
            clip_grad_norm_(self.parameters, self.clip)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def _count(self, batches: int, steps: int) -> None:
        """Let Lightning count batches and steps, as it counts blocks alone, whose number depends on the machine."""
        loop = self.trainer.fit_loop.epoch_loop
        loop._batches_that_stepped += steps
        for counts in (loop.batch_progress.total, loop.batch_progress.current):
            for name, count in vars(counts).items():
                setattr(counts, name, count + batches)

    def _overrides(self, name: str) -> list[Callable[..., object]]:
        """The methods of this name of the callbacks that have one of their own."""
        own = [one for one in self.trainer.callbacks if getattr(type(one), name) is not getattr(Callback, name)]  # pyright: ignore[reportAttributeAccessIssue]
        return [getattr(one, name) for one in own]

    def _call(self, name: str, *values: object) -> None:
        for hook in self.hooks[name]:
            hook(self.trainer, self.module, *values)
