"""Small untrained models of a configuration, as runs: what an export needs."""

from dataclasses import replace
from pathlib import Path

import torch

from tests.support.configs import composed
from vae_cli.commands.run import Run
from vae_cli.config.schema import Node, TrainConfig
from vae_cli.datasets.info import DatasetInfo
from vae_cli.training.build import build_module

FEW = {"hidden": [8], "channels": [4], "dense": 8, "width": 8, "blocks": 1, "layers": 1, "heads": 2, "head_width": 4}
FEW |= {"pseudo_inputs": 5, "components": 3, "steps": 2, "codes": 6, "context": 4, "below": [5]}
"""Sizes of small parts, by key."""


def small(config: TrainConfig) -> TrainConfig:
    """The configuration with few units in each part; the dimensions of z stay even, for categories of a few values."""
    groups = {name: node for name, node in vars(config).items() if isinstance(node, Node)}
    sizes = FEW | {"latent_dim": 4, "categories": 2}
    nodes = {}
    for name, node in groups.items():
        if name not in ("dataset", "optimizer", "scheduler"):
            arguments = {
                key: _sized(sizes[key], value) if key in sizes else value for key, value in node.arguments.items()
            }
            nodes[name] = replace(node, arguments=arguments)
    return replace(config, **nodes)


def _sized(size: object, value: object) -> object:
    """A size, in a list as long as the value if that is one."""
    return size * len(value) if isinstance(size, list) and isinstance(value, list) else size


def small_run(folder: Path, *overrides: str) -> Run:
    """An untrained run of few units, its weights moved away from zeros of the start."""
    config = small(composed(*overrides))
    torch.manual_seed(0)
    module = build_module(config, DatasetInfo.of(config.dataset.build().load()))
    with torch.no_grad():
        for parameter in module.model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return Run(folder, config, module.facts, module.eval())
