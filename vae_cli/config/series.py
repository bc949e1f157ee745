"""Configurations of jobs that differ in values: hydra composes the files once for each choice of options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig

from vae_cli.config.compose import Composer, parse, show_typed


@dataclass(frozen=True)
class Series:
    """Composes as `compose` does, in a tenth of the time: values are set in a copy of what the files give.

    Args:
        compose: the configuration of a list of overrides, by hydra
    """

    composer: Composer
    compose: Callable[[list[str]], DictConfig]
    _files: dict[tuple[str, ...], DictConfig] = field(default_factory=dict)

    def config(self, lines: Sequence[str]) -> DictConfig:
        """The configuration, with a hydra node if `compose` gives one."""
        overrides = parse(lines)
        files = tuple(str(o.input_line) for o in overrides if self._is_for_files(o))
        if files not in self._files:
            self._files[files] = self.compose(list(files))
        config = deepcopy(self._files[files])
        values = [o for o in parse(self.composer.forced(lines)) if not self._is_for_files(o)]
        try:
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except HydraException:
            return self.compose(list(lines))  # which explains the fault
        if "hydra" in config:
            show_typed(config, overrides)
        return config

    def _is_for_files(self, override: Override) -> bool:
        """True for an override that hydra needs to choose files, or that sets hydra's own keys."""
        return override.is_hydra_override() or self.composer.is_group(override)
