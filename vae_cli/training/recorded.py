"""Gradients of steps by the operators of an earlier step, where those repeat it to the last bit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from vae_cli.batch import Batch
from vae_cli.distributed.streams import Streams
from vae_cli.training.recorder import Recorder, Recording, Results

WARM_UP = 100
"""Steps of batches of some shapes before one is recorded, which takes as long as about so many steps save."""
EARLY = 4
"""Such steps where the recording serves further trainings of this process."""
Gradients = Callable[[Sequence[Batch], Tensor], Results]
"""A step without its optimiser, from J batches and their epochs (J,)."""


@dataclass
class SharedPlan:
    """The recordings of a plan, whose steps have equal operators in all trainings of this process.

    Args:
        trainings: their number
        functions: recordings by the shapes of a batch, with the names of the tensors in `others`
        obstacle: why their steps run as they are
    """

    trainings: int = 0
    functions: dict[Hashable, tuple[Callable[..., Results], list[str]]] = field(default_factory=dict)
    obstacle: str | None = None


@lru_cache(maxsize=8)
def _shared(plan: Hashable, kinds: Hashable) -> SharedPlan:
    """The recordings of a plan, for modules of these kinds: others, once a class is read anew."""
    return SharedPlan()


class RecordedGradients:
    """Takes steps without their optimiser by the operators of an earlier one, for batches of equal shapes.

    The first steps run as they are, so that short trainings record none, and the next one is recorded. The step after
    it is made both ways: if a bit differs, if operators depend on values, or if a step changes attributes of `parts`,
    which no operator does, steps continue to run as they are. The second training of a plan records early, and each
    later one takes its recordings, after a step that is made both ways.

    Args:
        take: such a step
        parts: the modules that it calls
        streams: random streams of the models; None: torch's own
        plan: all that determines the operators of a step, but its values; None: unknown
        steps: number of steps to come; None: unknown
    """

    def __init__(
        self,
        take: Gradients,
        parts: Sequence[nn.Module],
        streams: Streams | None = None,
        plan: Hashable = None,
        steps: int | None = None,
    ) -> None:
        self.take, self.parts, self.streams = take, parts, streams
        kinds = tuple(type(module) for part in parts for module in part.modules())
        self.shared = SharedPlan() if plan is None else _shared(plan, kinds)
        self.shared.trainings += 1
        repays = steps is None or steps >= 2 * WARM_UP
        self.warm_up = EARLY if self.shared.trainings > 1 else WARM_UP if repays else math.inf
        self.seen = Counter[Hashable]()
        self.recordings: dict[Hashable, Recording] = {}
        self.proven = set[Hashable]()

    @property
    def obstacle(self) -> str | None:
        """Why steps run as they are."""
        return self.shared.obstacle

    def __call__(self, batches: Sequence[Batch], epochs: Sequence[float] | Tensor) -> Results:
        """Means and gradients of a batch of each model."""
        places = torch.as_tensor(epochs, dtype=torch.float64)
        parts = [value for batch in batches for value in (batch.x, batch.index, batch.y) if value is not None]
        inputs, kind = [*parts, places], tuple(value.shape for value in parts)
        self.seen[kind] += 1
        take = partial(self.take, batches, places)
        if self.obstacle or self.seen[kind] <= self.warm_up:
            return take()
        if kind not in self.recordings and not self._adopt(kind):
            return self._record(kind, take, inputs)
        if kind not in self.proven:
            self.proven.add(kind)
            return self._compare(self.recordings[kind], take, inputs)
        return self.recordings[kind](inputs)

    def _record(self, kind: Hashable, take: Callable[[], Results], inputs: Sequence[Tensor]) -> Results:
        recorder, streams, before = Recorder(inputs), self.streams, self._attributes()
        with recorder, streams.drawn_by(partial(recorder.draw, streams)) if streams else nullcontext():
            results = take()
        changed = [name for name, value in self._attributes().items() if before.get(name) != value]
        self.shared.obstacle = recorder.obstacle or next(iter(changed), None)
        if self.obstacle is None:
            self.recordings[kind] = Recording(recorder.function(results), recorder.others, streams)
            self._share(kind, self.recordings[kind])
        return results

    def _share(self, kind: Hashable, recording: Recording) -> None:
        """Keep a recording for other trainings, unless it takes tensors that have no name in the modules."""
        names = {id(value): name for name, value in self._tensors().items()}
        found = [names.get(id(value)) for value in recording.others]
        if None not in found:
            self.shared.functions[kind] = recording.function, list(filter(None, found))

    def _adopt(self, kind: Hashable) -> bool:
        """Take the recording of another training, if there is one."""
        if kind not in self.shared.functions:
            return False
        (function, names), tensors = self.shared.functions[kind], self._tensors()
        self.recordings[kind] = Recording(function, [tensors[name] for name in names], self.streams)
        return True

    def _tensors(self) -> dict[str, Tensor]:
        """The parameters and buffers of the modules by their names."""
        return {
            f"{number}.{name}": value
            for number, part in enumerate(self.parts)
            for name, value in chain(part.named_parameters(), part.named_buffers())
        }

    def _attributes(self) -> dict[str, object]:
        """Attributes of all modules: numbers by their values, containers by their sizes, others as the objects."""
        return {
            f"{number}.{path}.{name}": value
            if isinstance(value, float | int)
            else (id(value), len(value) if isinstance(value, list | dict | set) else None)
            for number, part in enumerate(self.parts)
            for path, module in part.named_modules()
            for name, value in vars(module).items()
        }

    def _compare(self, recording: Recording, take: Callable[[], Results], inputs: Sequence[Tensor]) -> Results:
        replayed, results = self._tried(recording, inputs), take()
        if replayed is None or not _equal(replayed, results):
            self.shared.obstacle = "its operators do not repeat it"
        return results

    def _tried(self, recording: Recording, inputs: Sequence[Tensor]) -> Results | None:
        """The results of a recording, which leaves parameters, buffers and random streams as they were."""
        states = self.streams.states if self.streams else ()
        with torch.random.fork_rng(devices=[]):
            try:
                return recording(inputs, torch.clone)
            except Exception:  # torch raises many kinds of exception for operators that do not fit
                return None
            finally:
                if self.streams:
                    self.streams.set_states(states)


def _equal(replayed: Results, results: Results) -> bool:
    """True if all bits are equal."""
    pairs = zip(tree_leaves(replayed), tree_leaves(results), strict=True)
    return all(a is b if a is None or b is None else torch.equal(a, b) for a, b in pairs)


def gradients(loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradients of parameters as `backward` leaves them: each of its own, in the layout of its parameter."""
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    kept = list[Tensor | None]()
    for gradient, parameter in zip(found, parameters, strict=True):
        if gradient is not None and (gradient.stride() != parameter.stride() or any(gradient is one for one in kept)):
            gradient = torch.empty_like(parameter).copy_(gradient)
        kept.append(gradient)
    return kept
