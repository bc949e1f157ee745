"""From a checked configuration to objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn
from torch.optim import Optimizer

from vae_cli.config import EvaluateConfig
from vae_cli.evaluation import DataFacts, Evaluation
from vae_cli.models import VAE
from vae_cli.module import LitVAE
from vae_cli.objectives import Objective
from vae_cli.phases import Phase


def build_model(config: DictConfig, event_shape: tuple[int, ...]) -> VAE:
    """The model of a configuration for events of this shape."""
    latent_dim = config.model.latent_dim
    network = instantiate(config.network)
    posterior = instantiate(config.posterior, network, event_shape, latent_dim)
    prior = instantiate(config.prior, latent_dim)
    likelihood = instantiate(config.likelihood, network, latent_dim, event_shape)
    return instantiate(config.model, posterior, prior, likelihood)


def build_objective(config: DictConfig) -> Objective:
    """The objective, given the divergence where one is chosen."""
    parts = [] if config.divergence is None else [instantiate(config.divergence)]
    return instantiate(config.objective, *parts)


def build_phases(config: DictConfig, model: VAE) -> list[Phase]:
    """Pretraining and initialisation, where chosen, and the objective: trainer.max_epochs are those of the last."""
    objective, epochs = build_objective(config), config.trainer.max_epochs
    phases: list[Phase] = []
    if config.pretraining is not None:
        phases += instantiate(config.pretraining).phases(model)
    if config.initialisation is None:
        return [*phases, Phase("training", epochs, objective)]
    return [*phases, *instantiate(config.initialisation).phases(objective, epochs)]


def build_module(config: DictConfig, facts: DataFacts) -> LitVAE:
    """Model, objective, optimiser, schedule and evaluation as one LightningModule."""
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = instantiate(config.optimizer, _partial_=True)
    model = build_model(config, facts.event_shape)
    return LitVAE(
        model,
        build_phases(config, model),
        optimizer,
        instantiate(config.scheduler),
        Evaluation(EvaluateConfig(**config.evaluate), facts),
    )
