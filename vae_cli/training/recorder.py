"""The operators of a step as a graph, which later steps call alone: without modules, autograd and `vmap`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import getitem
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from vae_cli.distributed.streams import Streams

WRITABLE = Tensor, int, float, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format
"""Arguments and results of the operators that the code of a graph can name."""

aten = torch.ops.aten

Results = tuple[Tensor, list[Tensor | None]]
"""Means of loss and terms (J, T) of J models, and the gradients of parameters."""


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
