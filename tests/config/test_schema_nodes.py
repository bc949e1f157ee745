"""Objects that the nodes of a configuration name."""

import torch
from torch import nn

from vae_cli.config.schema import Node


def test_arguments_are_plain_and_not_those_of_the_configuration() -> None:
    node = Node("vae_cli.models.networks.MLP", {"hidden": [8, 4], "activation": "relu", "dropout": 0.0})
    hidden = node.build().hidden
    assert type(hidden) in (list, tuple) and hidden is not node.arguments["hidden"]


def test_parts_come_before_the_arguments() -> None:
    linear = Node("torch.nn.Linear", {"bias": False}).build(3, 2)
    assert linear.weight.shape == (2, 3) and linear.bias is None


def test_a_class_among_the_arguments_is_built() -> None:
    layer = Node("torch.nn.TransformerEncoder", {"num_layers": 1, "norm": {"_target_": "torch.nn.Identity"}})
    built = layer.build(nn.TransformerEncoderLayer(4, 2, batch_first=True))
    assert type(built.norm) is nn.Identity


def test_a_constructor_can_be_called_later() -> None:
    make = Node("torch.optim.Adam", {"lr": 0.5, "betas": [0.1, 0.2]}).constructor
    group = make([nn.Parameter(torch.zeros(1))]).param_groups[0]
    assert group["lr"] == 0.5 and tuple(group["betas"]) == (0.1, 0.2)
