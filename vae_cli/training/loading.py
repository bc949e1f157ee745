"""Loads the data of a configuration, and compares their support with that of the likelihood."""

from __future__ import annotations

from hydra.utils import get_class

from vae_cli.config.comparison import flat
from vae_cli.config.rules.data import unsupported
from vae_cli.config.schema import Node, TrainConfig, plain
from vae_cli.config.view import ConfigView, stating
from vae_cli.datasets import Data
from vae_cli.datasets.support import DomainError, check_data
from vae_cli.errors import ConfigError


def load_data(config: TrainConfig) -> Data:
    """The data set of a configuration; ConfigError if x lies outside the domain that it states or that is scored."""
    node = config.dataset
    try:
        data = check_data(node.build().load(), f"dataset {node.name} ({node.target})")
    except DomainError as error:
        raise ConfigError(f"{error}{_ways(config.likelihood, error.domain)}") from error
    check_support(config, data.domain)
    return data


def check_support(config: TrainConfig, domain: str) -> None:
    """Refuse a likelihood without a density or probability for x of this domain, which the data themselves show."""
    scores = _scores(config.likelihood)
    if domain not in scores:
        values = dict(flat(plain(config)))
        raise ConfigError(unsupported(ConfigView(config, lambda key: str(values[key])), domain, scores).message)


def _scores(likelihood: Node) -> tuple[str, ...]:
    scores = getattr(get_class(likelihood.target), "support", None)
    if scores is None:
        raise ConfigError(f"likelihood {likelihood.target}: has no class constant support; set support = ('real',)")
    return tuple(scores)


def _ways(likelihood: Node, domain: str | None) -> str:
    """The remedies for values outside the stated domain; `domain` is their own, None if they are not finite."""
    deliver = "let the data set deliver such values"
    if domain is None:
        return f"; {deliver}, or leave these rows out"
    scores = " or ".join(_scores(likelihood))
    fitting = stating("likelihood", "support", lambda other: domain in other)
    stated = f"or let it state domain {domain!r}, with {fitting}"
    return f" (likelihood {likelihood.name} scores {scores} data); {deliver}, {stated}"
