"""Loading the data of a configuration: what was loaded is compared with what the likelihood scores."""

from __future__ import annotations

from typing import Any

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from vae_cli.config.rules.data import unsupported
from vae_cli.config.view import ConfigView, stating
from vae_cli.datasets import Data
from vae_cli.datasets.support import DomainError, check_data
from vae_cli.errors import ConfigError


def load_data(config: DictConfig) -> Data:
    """The data set of a configuration; ConfigError if its values are not what it states, or not what is scored."""
    target = config.dataset._target_
    try:
        data = check_data(instantiate(config.dataset).load(), f"dataset {target.rpartition('.')[2]} ({target})")
    except DomainError as error:
        raise ConfigError(f"{error}{_ways(config, error.domain)}") from error
    check_support(config, data.domain)
    return data


def check_support(config: DictConfig, domain: str) -> None:
    """Refuse a likelihood that has no density or probability for x of this domain, whatever the classes state."""
    scores = _scores(config)
    if domain not in scores:
        plain: Any = OmegaConf.to_container(config, resolve=True)
        facts = ConfigView(plain, lambda key: str(OmegaConf.select(config, key)))
        raise ConfigError(unsupported(facts, domain, scores))


def _scores(config: DictConfig) -> tuple[str, ...]:
    target = config.likelihood._target_
    scores = getattr(get_class(target), "support", None)
    if scores is None:
        raise ConfigError(f"likelihood {target}: states no domains that it scores; give it scores = ('real',), say")
    return tuple(scores)


def _ways(config: DictConfig, domain: str | None) -> str:
    """What to do about values that lie in another domain than stated: their own, None if they are not finite."""
    deliver = "let the data set deliver such values"
    if domain is None:
        return f"; {deliver}, or leave these rows out"
    likelihood, scores = config.likelihood._target_.rpartition(".")[2], " or ".join(_scores(config))
    fitting = stating("likelihood", "support", lambda other: domain in other)
    return (
        f" (likelihood {likelihood} scores {scores} data); {deliver}, or let it state domain {domain!r}, with {fitting}"
    )
