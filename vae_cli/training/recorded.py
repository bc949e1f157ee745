"""The operators of a step as a graph, which later steps call alone: without modules, autograd and `vmap`."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from operator import getitem
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from vae_cli.batch import Batch
from vae_cli.distributed.streams import Streams

WARM_UP = 100
"""Steps of batches of some shapes before one is recorded, which takes as long as about so many steps save."""
EARLY = 4
"""Such steps where the recording serves further trainings of this process."""
WRITABLE = Tensor, int, float, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format
"""Arguments and results of the operators that the code of a graph can name."""

aten = torch.ops.aten

Results = tuple[Tensor, list[Tensor | None]]
"""Means of loss and terms (J, T) of J models, and the gradients of parameters."""
Gradients = Callable[[Sequence[Batch], Tensor], Results]
"""A step without its optimiser, from J batches and their epochs (J,)."""


class Recorder(TorchDispatchMode):
    """Writes the operators that run into a graph.

    others: what the graph takes after its inputs: tensors that no operator has made, as parameters and constants, and
        functions that draw noise
    obstacle: the operator for which a graph would say too little; None if there is none
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.graph, self.nodes = Graph(), WeakTensorKeyDictionary()
        self.others: list[Tensor | Callable[[], Tensor]] = []
        self.last: Node | None = None
        self.obstacle: str | None = None
        self.is_paused = False
        for value in inputs:
            self.nodes[value] = self._placeholder()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        known = all(isinstance(one, WRITABLE) for one in tree_leaves((args, kwargs, made)))
        if _depends_on_values(func, args) or not known:
            self.obstacle = str(func)
        if not self.is_paused and self.obstacle is None:
            self._write(func, args, kwargs or {}, made)
        return made

    def _write(self, func: Any, args: Any, kwargs: Any, made: Any) -> None:
        target = aten.clone.default if func is aten.lift_fresh.default else func
        node = self.graph.call_function(target, *tree_map_only(Tensor, self._node, (args, kwargs)))
        if isinstance(made, Tensor):
            self.nodes[made] = node
        else:
            for number, part in enumerate(made or ()):
                if isinstance(part, Tensor):
                    self.nodes[part] = self.graph.call_function(getitem, (node, number))

    def _node(self, value: Tensor) -> Node:
        if value not in self.nodes:
            self.others.append(value)
            self.nodes[value] = self._placeholder()
        return self.nodes[value]

    def _placeholder(self) -> Node:
        with self.graph.inserting_after(self.last) if self.last else self.graph.inserting_before():
            self.last = self.graph.placeholder(f"input_{len(self.graph.nodes)}")
        return self.last

    def draw(self, streams: Streams, draw: Callable[[], Tensor]) -> Tensor:
        """Noise that each step draws anew."""
        self.is_paused = True
        noise = streams.stacked(draw)
        self.is_paused = False
        self.others.append(draw)
        self.nodes[noise] = self._placeholder()
        return noise

    def function(self, results: Results) -> Callable[..., Results]:
        """The graph as a function of its inputs and `others`."""
        self.graph.output(tree_map_only(Tensor, self._node, results))
        for node in self.graph.nodes:
            if node.target in (aten.detach.default, aten.alias.default):  # without gradients, their argument
                node.replace_all_uses_with(node.args[0])
        self.graph.eliminate_dead_code()
        return GraphModule({}, self.graph).forward


def _depends_on_values(func: Any, args: Any) -> bool:
    """True if an operator returns a number, or as many results as the values say."""
    if func is aten.index.Tensor:
        return any(index is not None and index.dtype == torch.bool for index in args[1])
    return not {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}.isdisjoint(func.tags)


@dataclass(frozen=True)
class Recording:
    """The operators of a step as a function of its inputs and `others`, as in Recorder."""

    function: Callable[..., Results]
    others: Sequence[Tensor | Callable[[], Tensor]]
    streams: Streams | None

    def __call__(self, inputs: Sequence[Tensor], kept: Callable[[Tensor], Tensor] = lambda value: value) -> Results:
        """The results of the operators with other inputs; `kept` makes of each other tensor the one that they take."""
        with torch.no_grad():
            return self.function(*inputs, *(self._other(value, kept) for value in self.others))

    def _other(self, value: Tensor | Callable[[], Tensor], kept: Callable[[Tensor], Tensor]) -> Tensor:
        if isinstance(value, Tensor):
            return kept(value)
        assert self.streams is not None
        return self.streams.stacked(value)


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


_plans: defaultdict[Hashable, SharedPlan] = defaultdict(SharedPlan)


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
        kinds = tuple(type(module) for part in parts for module in part.modules())  # others once a class is read anew
        self.shared = SharedPlan() if plan is None else _plans[plan, kinds]
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
