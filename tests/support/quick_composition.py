"""Compositions in two thirds of their time: hydra parses a file or an override each time anew, tests do so once."""

import copy
import pickle
from functools import cache
from types import SimpleNamespace
from typing import Any

import omegaconf.base
from hydra._internal import defaults_list
from hydra._internal.core_plugins import file_config_source, importlib_resources_config_source
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from omegaconf import Container, OmegaConf

from vae_cli.config.compose import session


@cache
def _content(name: str, text: str) -> bytes:
    return pickle.dumps(OmegaConf.load(name))


def _load(file: Any) -> Container:
    return pickle.loads(_content(file.name, file.read()))


def install() -> None:
    """Keep the results of hydra's pure functions, by their arguments; a process under test that is no fork has none."""
    with session():  # which looks for plugins and thereby executes the modules of the sources again
        Plugins.instance()
    for source in (file_config_source, importlib_resources_config_source):
        source.OmegaConf = SimpleNamespace(load=_load)

    rule = cache(OverridesParser.create().parse_rule)
    OverridesParser.parse_rule = lambda self, s, rule_name: copy.deepcopy(rule(s, rule_name))
    omegaconf.base.parse = cache(omegaconf.base.parse)

    choices = defaults_list._create_interpolation_map

    def only_if_needed(overrides: Any, entries: list[Any], self_added: bool) -> Any:
        needed = any(not entry.is_self() and entry.is_interpolation() for entry in entries)
        return choices(overrides, entries, self_added) if needed else None

    defaults_list._create_interpolation_map = only_if_needed
