"""Builds the objects of a checked configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from hydra.utils import get_class
from torch import nn
from torch.optim import Optimizer

from vae_cli.config.schema import Node, TrainConfig
from vae_cli.datasets.info import DatasetInfo
from vae_cli.errors import ConfigError
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.spatial_networks import n_positions
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.loading import check_support
from vae_cli.training.phases import Phase, PhaseSource


def assemble(node: Node, **parts: Any) -> Any:
    """The object of a node; each parameter before the star of its class gets the part of its name."""
    arguments = inspect.signature(get_class(node.target)).parameters.values()
    wanted = [argument.name for argument in arguments if argument.kind is argument.POSITIONAL_OR_KEYWORD]
    if unknown := [name for name in wanted if name not in parts]:
        raise ConfigError(f"{node.target}: unknown parameter {unknown[0]} before the star; use {', '.join(parts)}")
    return node.build(*[parts[name] for name in wanted])


@dataclass(frozen=True)
class BuildContext:
    """Parts for the parameters before the star of a class; its other arguments are configured.

    Args:
        layers: dimensions of each layer of z, the nearest to x first.
        decoded: numbers of the layers that the decoder reads.
        n_positions: positions of z, each with its own latents.
        examples: number of training examples, 0 if unknown.
    """

    event_shape: tuple[int, ...]
    network: Any
    n_positions: int
    layers: list[int]
    decoded: list[int]
    examples: int
    refinement: Any
    codebook: Any

    @classmethod
    def of(cls, config: TrainConfig, event_shape: tuple[int, ...], examples: int) -> BuildContext:
        """The context of a configuration and its data."""
        network, model = config.network.build(), get_class(config.model.target)
        count, sizes = n_positions(network, event_shape), model.layer_sizes(**config.model.arguments)
        return cls(
            event_shape,
            network,
            count,
            [count * size for size in sizes],
            model.decoded_layers(**config.model.arguments),
            examples,
            config.refinement and config.refinement.build(),
            config.codebook and assemble(config.codebook, code_dim=sizes[-1]),
        )

    @property
    def posterior_dim(self) -> int:
        """Dimensions of q(z|x): all layers."""
        return sum(self.layers)

    @property
    def prior_dim(self) -> int:
        """Dimensions of the prior: the top layer."""
        return self.layers[-1]

    @property
    def decoder_dim(self) -> int:
        """Dimensions of z that the decoder reads."""
        return sum(self.layers[number] for number in self.decoded)


def build_model(config: TrainConfig, event_shape: tuple[int, ...], examples: int = 0) -> LatentVariableModel:
    """The model of a configuration for events of this shape."""
    context = BuildContext.of(config, event_shape, examples)
    parts = dict(vars(context))
    parts["posterior"] = assemble(config.posterior, latent_dim=context.posterior_dim, **parts)
    parts["prior"] = assemble(config.prior, latent_dim=context.prior_dim, **parts)
    parts["likelihood"] = assemble(config.likelihood, latent_dim=context.decoder_dim, **parts)
    node = Node(config.model.target, config.model.arguments | {"latent_dim": context.prior_dim})
    return assemble(node, **parts)


def build_phases(config: TrainConfig, model: LatentVariableModel, event_shape: tuple[int, ...]) -> list[Phase]:
    """The phase of the objective, between those of pretraining, initialisation and second_stage where chosen."""
    size, network = model.latent_dim, config.network.build()
    parts = {
        "latent_dim": size,
        "network": network,
        "event_shape": event_shape,
        "n_positions": n_positions(network, event_shape),
    }
    divergence = None if config.divergence is None else assemble(config.divergence, **parts)
    annealing = config.annealing and config.annealing.build()
    objective = assemble(config.objective, divergence=divergence, latent_dim=size, annealing=annealing)
    phases = [Phase("training", config.trainer.max_epochs, objective)]
    for node in (config.initialisation, config.pretraining, config.second_stage):
        if node:
            source: PhaseSource = node.build()
            phases = source.extend(phases, model)
    return phases


def build_optimizer(node: Node) -> Callable[[Iterable[nn.Parameter]], Optimizer]:
    """A function from parameters to their optimiser; ConfigError for settings that its class refuses."""
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = node.constructor
    try:
        optimizer([nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"optimizer {node.target}: {reason}; change that, or use optimizer=adam") from error
    return optimizer


def build_module(config: TrainConfig, facts: DatasetInfo) -> LatentModelModule:
    """Model, objective, optimiser, schedule and evaluation as one LightningModule."""
    check_support(config, facts.domain)
    optimizer = build_optimizer(config.optimizer)
    model = build_model(config, facts.event_shape, facts.examples)
    model.likelihood.standardisation = facts.standardisation
    module = LatentModelModule(
        model,
        build_phases(config, model, facts.event_shape),
        optimizer,
        config.scheduler.build(),
        config.evaluate,
        facts,
    )
    return module.to(memory_format=torch.channels_last)  # convolutions are a sixth faster
