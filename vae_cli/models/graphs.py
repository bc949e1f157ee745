"""Graphs of the parents of each latent, free of torch.

Layers are named z1, z2, ..., zM, z1 the nearest to x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from vae_cli.errors import ConfigError

Parents = Mapping[str, Sequence[str]]
X = "x"


@dataclass(frozen=True)
class Graph:
    """The parents of each node, and the nodes in an order in which every one comes after its parents."""

    parents: dict[str, tuple[str, ...]]
    order: tuple[str, ...]

    @classmethod
    def of(cls, key: str, parents: Parents, nodes: Sequence[str], known: Sequence[str]) -> Graph:
        """Checked: each of `nodes` has parents, all of them nodes or `known`; ConfigError names the key otherwise."""
        possible = [*nodes, *known]
        for node, above in parents.items():
            if node not in nodes:
                raise ConfigError(f"{key}: {node} has no parents; use parents of {', '.join(nodes)}")
            if unknown := [name for name in above if name not in possible]:
                raise ConfigError(f"{key}.{node}: {unknown[0]} is not a node; use {', '.join(possible)}")
        for node in nodes:
            if not parents.get(node):
                raise ConfigError(f"{key}.{node}: has no parents; use {key}.{node}=[{known[0]}], or others")
        try:
            order = tuple(n for n in TopologicalSorter({**dict(parents)}).static_order() if n in nodes)
        except CycleError as error:
            cycle = error.args[1]
            way = f"use {key}.{cycle[0]}=[{known[0]}], or remove another of these parents"
            raise ConfigError(f"{key}: {' <- '.join(cycle)} is a cycle; {way}") from None
        return cls({node: tuple(parents[node]) for node in nodes}, order)

    def descendants(self, node: str) -> set[str]:
        """The nodes that depend on a node, directly or through others."""
        found: set[str] = set()
        for other in self.order:
            if {node, *found} & set(self.parents[other]):
                found.add(other)
        return found


def layer_names(count: int) -> list[str]:
    """Names of the layers: z1, ..., zM."""
    return [f"z{number}" for number in range(1, count + 1)]


def bottom_up(count: int) -> Parents:
    """q(z1|x) q(z2|z1) ... q(zM|zM-1)."""
    return dict(zip(names := layer_names(count), ([name] for name in [X, *names]), strict=False))


def top_down(count: int) -> Parents:
    """q(zM|x) q(zM-1|zM, x) ... q(z1|z2, x)."""
    names = layer_names(count)
    return {name: [X, *names[number : number + 1]] for number, name in enumerate(names, 1)}


def inference_graph(key: str, parents: Parents, count: int) -> Graph:
    """Check q(z1, ..., zM|x): every layer depends on x, directly or through others."""
    return Graph.of(key, parents, layer_names(count), [X])


def generation_graph(key: str, parents: Parents | None, count: int) -> Graph:
    """Check p(x, z1, ..., zM), the top layer without parents; None is the chain zM -> ... -> z1 -> x."""
    *below, top = [X, *layer_names(count)]
    chain = dict(zip(below, ([name] for name in layer_names(count)), strict=True))
    graph = Graph.of(key, parents or chain, below, [top])
    used = {name for above in graph.parents.values() for name in above}
    if idle := [name for name in layer_names(count) if name not in used]:
        raise ConfigError(f"{key}: nothing depends on {idle[0]}; make it a parent, or use {key}=null, the chain")
    if X in used:
        raise ConfigError(f"{key}: x is drawn last, so it is no parent; leave it out")
    return graph
