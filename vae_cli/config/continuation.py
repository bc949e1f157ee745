"""The fingerprint of a configuration, and the work that is left of a job of a sweep."""

from __future__ import annotations

import hashlib
import json
from functools import reduce
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_cli.config.settings import keys_that
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.saved_config import read_back


def fingerprint(config: dict[str, Any] | DictConfig) -> str:
    """SHA-256 of the keys that can change results; equal for a composed configuration and for its config.yaml."""
    kept = read_back(config)
    for key in keys_that(lambda one: not one.changes_results):
        *groups, name = key.split(".")
        part = reduce(lambda outer, group: outer.get(group) or {}, groups, kept)
        part.pop(name, None)
    plain = json.loads(json.dumps(kept), parse_int=float)  # beta=1 is beta=1.0
    return hashlib.sha256(json.dumps(_without_empty(plain), sort_keys=True).encode()).hexdigest()


def _without_empty(value: Any) -> Any:
    """A mapping without null and without {}: a key of a later version is absent in the runs of an earlier one."""
    if not isinstance(value, dict):
        return value
    return {name: _without_empty(item) for name, item in value.items() if item not in (None, {})}


def is_done(config: dict[str, Any] | DictConfig, run: RunFolder) -> bool:
    """True if a run of this configuration has ended well in this folder."""
    return run.has_config and fingerprint(run.config()) == fingerprint(config) and run.is_done


def remaining(config: DictConfig, run: RunFolder) -> DictConfig | None:
    """The configuration that a job of a sweep has to run in its folder; None if the job is done.

    A run of this configuration that has not ended well resumes from its last checkpoint, if it has one. A run of
    another configuration is set aside by rank 0; the answer on other ranks is equal before and after that.
    """
    if not run.has_config:
        return config
    if fingerprint(run.config()) != fingerprint(config):
        if is_rank_zero():
            from vae_cli.distributed import machine  # imports torch

            machine.check(config.trainer.accelerator, config.trainer.precision, config.trainer.devices)
            aside = run.set_aside()
            print(f"{run.name}: its configuration has changed; runs anew, the earlier run is now in {aside}")
        return config
    if run.is_done:
        return None
    if not run.has_checkpoint:
        return config
    config = config.copy()
    OmegaConf.update(config, "resume", str(run.path))
    return config
