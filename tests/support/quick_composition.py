"""Compositions in a fifth of their time: hydra reads files and parses overrides each time anew, tests do so once."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import hydra.version
import omegaconf.base
from hydra._internal import config_loader_impl, config_repository, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins import file_config_source, importlib_resources_config_source
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from omegaconf import Container, DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from vae_cli.config.compose import session
from vae_cli.runs.layout import conf_folder


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
    hydra.version.base_at_least = cache(hydra.version.base_at_least)

    choices = defaults_list._create_interpolation_map

    def only_if_needed(overrides: Any, entries: list[Any], self_added: bool) -> Any:
        needed = any(not entry.is_self() and entry.is_interpolation() for entry in entries)
        return choices(overrides, entries, self_added) if needed else None

    defaults_list._create_interpolation_map = only_if_needed
    config_repository.copy = SimpleNamespace(deepcopy=copy.copy)  # of a list of sources, which is replaced as a whole
    config_loader_impl.create_defaults_list = _once_per_choice(config_loader_impl.create_defaults_list)
    ConfigLoaderImpl._compose_config_from_defaults_list = _once_per_list(
        ConfigLoaderImpl._compose_config_from_defaults_list
    )


def _users_files(repo: Any) -> tuple[Any, ...]:
    """The folders of the user, with their files, which a test may write anew; our own do not change."""
    folders = [Path(source.path) for source in repo.get_sources() if source.scheme() in ("vae", "file")]
    users = [folder for folder in folders if folder != conf_folder()]
    return tuple((folder, *((file, file.read_bytes()) for file in sorted(folder.rglob("*.yaml")))) for folder in users)


class _Known:
    """Our files as hydra's list of defaults reads them, each read once; composition changes what it reads."""

    files: ClassVar[dict[Any, Any]] = {}

    def __init__(self, repo: Any, state: tuple[Any, ...]):
        self.repo, self.state = repo, state

    def load_config(self, config_path: str) -> Any:
        key = (config_path, self.state)
        if key not in self.files:
            self.files[key] = self.repo.delegate.load_config(config_path=config_path)
        return self.files[key]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.repo, name)


def _once_per_choice(function: Callable[..., Any]) -> Callable[..., Any]:
    """hydra's create_defaults_list, which depends on the choices of options, and not on values."""
    known: dict[Any, Any] = {}

    def create(repo: Any, config_name: str, overrides_list: list[Any], **settings: Any) -> Any:
        values = defaults_list.Overrides(repo, overrides_list).config_overrides
        of_values = set(map(id, values))
        choices = tuple(o.input_line for o in overrides_list if id(o) not in of_values)
        plugins = ConfigStore.instance().repo["hydra"]  # of which a test takes one away
        installed = [tuple(plugins[group]) for group in ("launcher", "sweeper")]
        state = (*installed, *_users_files(repo))
        key = (config_name, *settings.items(), choices, state)
        if key not in known:
            known[key] = function(_Known(repo, state), config_name, overrides_list, **settings)
        return replace(known[key], config_overrides=values)

    return create


def _once_per_list(function: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """hydra's composition of the files in a list of defaults, which goes on from the part that others begin with."""
    known: dict[Any, bytes] = {}

    def compose(self: ConfigLoaderImpl, defaults: list[Any], repo: Any) -> DictConfig:
        users = _users_files(repo)
        key = (repr(defaults), users)
        if key not in known:
            own = next((i for i, d in enumerate(defaults) if not (d.config_path or "").startswith("hydra/")), 0)
            beginning = (repr(defaults[:own]), users)
            if beginning not in known:
                known[beginning] = pickle.dumps(function(self, defaults[:own], repo))
            config = pickle.loads(known[beginning])
            try:
                with flag_override(config, "no_deepcopy_set_nodes", True):
                    for default in defaults[own:]:
                        config.merge_with(self._load_single_config(default=default, repo=repo).config)
            except OmegaConfBaseException:
                return function(self, defaults, repo)  # which names the file of the fault
            known[key] = pickle.dumps(config)
        return pickle.loads(known[key])

    return compose
