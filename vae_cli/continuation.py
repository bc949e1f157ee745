"""Going on with a sweep: what an earlier start has left in a job's folder, and what is left to do."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from vae_cli.errors import UserError
from vae_cli.folders import CONFIG, LAST, LOCK, RESULTS, display
from vae_cli.saved import read_config

NEUTRAL = ("resume", "ckpt", "logger", "dataset.root", "trainer.figures_every")
"""Keys that cannot change a result: where files are, and what is drawn or reported while training."""
SUPERSEDED = "superseded"


def resolved(config: DictConfig) -> DictConfig:
    """The configuration as a run keeps it: no interpolations, paths of data absolute."""
    kept = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    assert isinstance(kept, DictConfig)
    for key in ("path", "root"):
        if kept.dataset.get(key):
            kept.dataset[key] = str(Path(kept.dataset[key]).expanduser().absolute())
    return kept


def fingerprint(config: DictConfig) -> str:
    """SHA-256 of all that can change a run's results; the same for a composed configuration and for its config.yaml."""
    kept = OmegaConf.create(OmegaConf.to_yaml(resolved(config)))  # by way of YAML, as the saved one has come
    for key in NEUTRAL:
        OmegaConf.update(kept, key, None, force_add=True)
    plain = json.loads(json.dumps(OmegaConf.to_container(kept)), parse_int=float)  # beta=1 is beta=1.0
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def remaining(config: DictConfig, folder: Path) -> DictConfig | None:
    """What a job of a sweep has to run in its folder: None if it is done there, else its configuration.

    A run of the same configuration that has not ended well goes on from its last checkpoint, if it has one. One of
    another configuration is set aside.
    """
    if not (folder / CONFIG).is_file():
        return config
    if fingerprint(read_config(folder)) != fingerprint(config):
        aside = set_aside(folder)
        print(f"{folder.name}: its configuration has changed; runs anew, the earlier run is now in {display(aside)}")
        return config
    if read_results(folder).get("status") == "done":
        return None
    if not (folder / LAST).is_file():
        return config
    from vae_cli import checkpoints

    checkpoints.newest(folder)  # damaged ones are refused before anything is written
    print(f"{folder.name}: goes on from its last checkpoint")
    config = config.copy()
    OmegaConf.update(config, "resume", str(folder))
    return config


def read_results(folder: Path) -> dict[str, Any]:
    """The numbers and the status of a run; none if it has written none, or they are damaged."""
    try:
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return results if isinstance(results, dict) else {}


def set_aside(folder: Path) -> Path:
    """Move everything out of a job's folder into one of its own, beside the jobs; returns that."""
    began = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime((folder / CONFIG).stat().st_mtime))
    aside = folder.parent / SUPERSEDED / f"{folder.name}_{began}"
    try:
        with FileLock(folder / LOCK, timeout=0):
            aside.mkdir(parents=True)
            for path in folder.iterdir():
                if path.name != LOCK:
                    path.rename(aside / path.name)
    except Timeout as error:
        raise UserError(f"{folder}: another process is training in this folder") from error
    return aside
