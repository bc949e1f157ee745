"""Graphs of parents: order, and what is refused."""

import pytest

from vae_cli.errors import ConfigError
from vae_cli.models.graphs import bottom_up, generation_graph, inference_graph, top_down


@pytest.mark.parametrize("count", [1, 2, 4])
def test_parents_come_first(count: int) -> None:
    graphs = [inference_graph("q", parents(count), count) for parents in (bottom_up, top_down)]
    for graph in [*graphs, generation_graph("p", None, count)]:
        for node, parents in graph.parents.items():
            known = {"x", f"z{count}", *graph.order[: graph.order.index(node)]} if node in graph.order else set()
            assert set(parents) <= known


def test_descendants() -> None:
    graph = inference_graph("q", {"z1": ["x"], "z2": ["z1"], "z3": ["x", "z2"]}, 3)
    assert [graph.descendants(name) for name in ("z1", "z2", "z3")] == [{"z2", "z3"}, {"z3"}, set()]


def test_the_chains() -> None:
    assert bottom_up(3) == {"z1": ["x"], "z2": ["z1"], "z3": ["z2"]}
    assert top_down(3) == {"z1": ["x", "z2"], "z2": ["x", "z3"], "z3": ["x"]}
    assert generation_graph("p", None, 3).parents == {"x": ("z1",), "z1": ("z2",), "z2": ("z3",)}


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ({"z1": ["x"]}, r"q\.z2: has no parents; use q\.z2=\[x\]"),
        ({"z1": ["x"], "z2": []}, r"q\.z2: has no parents"),
        ({"z1": ["z2"], "z2": ["z1"]}, "q: z. <- z. <- z. is a cycle"),
        ({"z1": ["x"], "z2": ["z3"]}, r"q\.z2: z3 is not a node; use z1, z2, x$"),
        ({"z1": ["x"], "z2": ["x"], "z3": ["x"]}, "q: z3 has no parents; use parents of z1, z2$"),
    ],
)
def test_what_is_no_graph_of_inference_is_refused(parents: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        inference_graph("q", parents, 2)


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ({"x": ["z1"], "z1": ["z2"], "z2": ["z1"]}, "p: z2 has no parents"),
        ({"x": ["z2"], "z1": ["z2"]}, "p: nothing depends on z1"),
        ({"x": ["z1"], "z1": ["z2", "x"]}, "cycle"),
        ({"x": ["z1"]}, r"p\.z1: has no parents"),
    ],
)
def test_what_is_no_graph_of_generation_is_refused(parents: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generation_graph("p", parents, 2)
