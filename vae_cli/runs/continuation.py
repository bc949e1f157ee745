"""Going on with a sweep: what an earlier start has left in a job's folder, and what is left to do."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_cli.distributed.rank import is_rank_zero
from vae_cli.runs.layout import CONFIG, DATA, LAST, LOCK, RESULTS, SUPERSEDED, display
from vae_cli.runs.saved_config import read_config

NEUTRAL = (
    "resume",
    "ckpt",
    "logger",
    "cluster",
    "dataset.root",
    "trainer.figures_every",
    "trainer.checkpoint_every",
)
"""Keys that cannot change a result: where files are, what is drawn, reported or saved while training, and where."""


def resolved(config: DictConfig) -> DictConfig:
    """The configuration as a run keeps it: no interpolations, paths of data absolute."""
    kept = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    assert isinstance(kept, DictConfig)
    for key in (*DATA, "init"):
        if place := OmegaConf.select(kept, key):
            OmegaConf.update(kept, key, str(Path(place).expanduser().absolute()))
    return kept


def fingerprint(config: DictConfig) -> str:
    """SHA-256 of all that can change a run's results; the same for a composed configuration and for its config.yaml."""
    kept = OmegaConf.create(OmegaConf.to_yaml(resolved(config)))  # by way of YAML, as the saved one has come
    for key in NEUTRAL:
        OmegaConf.update(kept, key, None, force_add=True)
    plain = json.loads(json.dumps(OmegaConf.to_container(kept)), parse_int=float)  # beta=1 is beta=1.0
    return hashlib.sha256(json.dumps(_said(plain), sort_keys=True).encode()).hexdigest()


def _said(value: Any) -> Any:
    """Without what is null: a key that came with a later version is, in what an earlier one would have run."""
    if not isinstance(value, dict):
        return value
    return {name: _said(item) for name, item in value.items() if item is not None}


def remaining(config: DictConfig, folder: Path) -> DictConfig | None:
    """What a job of a sweep has to run in its folder: None if it is done there, else its configuration.

    The first process alone moves files; the others come to the same answer before and after.

    A run of the same configuration that has not ended well goes on from its last checkpoint, if it has one. One of
    another configuration is set aside.
    """
    if not (folder / CONFIG).is_file():
        return config
    if fingerprint(read_config(folder)) != fingerprint(config):
        if not is_rank_zero():
            return config
        from vae_cli.distributed import machine

        machine.check(config.trainer.accelerator, config.trainer.precision, config.trainer.devices)
        aside = set_aside(folder)
        print(f"{folder.name}: its configuration has changed; runs anew, the earlier run is now in {display(aside)}")
        return config
    if is_done(folder):
        return None
    if not (folder / LAST).is_file():
        return config
    from vae_cli.runs import checkpoints

    checkpoints.newest(folder)  # damaged ones are refused before anything is written
    if is_rank_zero():
        print(f"{folder.name}: goes on from its last checkpoint")
    config = config.copy()
    OmegaConf.update(config, "resume", str(folder))
    return config


def is_done(folder: Path) -> bool:
    """Whether the run here has ended well."""
    return read_results(folder).get("status") == "done"


def read_results(folder: Path) -> dict[str, Any]:
    """The numbers and the status of a run; none if it has written none, or they are damaged."""
    try:
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return results if isinstance(results, dict) else {}


def set_aside(folder: Path) -> Path:
    """Move everything out of a job's folder into one of its own, beside the jobs; returns that.

    The configuration goes last, so that whoever is killed here begins with this again.
    """
    began = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime((folder / CONFIG).stat().st_mtime))
    aside = folder.parent / SUPERSEDED / f"{folder.name}_{began}"
    aside.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir(), key=lambda path: path.name == CONFIG):
        if path.name != LOCK:
            path.rename(aside / path.name)
    return aside
