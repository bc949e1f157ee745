"""The check of a configuration, without torch: it is parsed, then its combination; and the resolvers of YAML files."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from vae_cli.config.job_names import job_folder
from vae_cli.config.parse import S, Where, parsed_as
from vae_cli.config.rules import RULES
from vae_cli.config.schema import TrainConfig
from vae_cli.config.settings import not_in_names
from vae_cli.config.view import ConfigView
from vae_cli.config.ways import Accepts, passable
from vae_cli.errors import ConfigError
from vae_cli.runs import layout

OmegaConf.register_new_resolver("vae_job", job_folder, replace=True)
OmegaConf.register_new_resolver("vae_suffix", lambda name: f"-{name}" if name else "", replace=True)
OmegaConf.register_new_resolver("vae_not_in_names", not_in_names, replace=True)
OmegaConf.register_new_resolver("vae_outputs", lambda: str(layout.outputs_folder()), replace=True)


def check(
    config: DictConfig,
    where: Where = lambda _: "in the configuration",
    schema: type[S] = TrainConfig,
    accepts: Accepts = lambda _: True,
) -> S:
    """The configuration as an instance of its schema, its combination allowed by the rules.

    Raises ConfigError for the first key that is unknown, missing, mistyped, out of range or out of place.
    """
    parsed = parsed_as(schema, config, where, accepts)
    if isinstance(parsed, TrainConfig):
        check_rules(parsed, where, accepts)
    return parsed


def check_rules(config: TrainConfig, where: Where, accepts: Accepts, run: TrainConfig | None = None) -> None:
    """Raise a ConfigError for the first combination that cannot run; it proposes keys that the command accepts.

    Args:
        run: configuration of the run that `config` continues or evaluates; a rule that refuses it, too, is younger
            than the run and does not count
    """
    for rule in RULES:
        if run is not None and rule(ConfigView(run, where)):
            continue
        if refusal := rule(ConfigView(config, where)):
            raise ConfigError(passable(rule, refusal, config, accepts).message, rule=rule.__name__, key=refusal.key)
