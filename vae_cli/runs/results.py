"""A run's final numbers: results.json with flat keys."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from vae_cli.runs.atomic_files import write_text_atomically

Results = dict[str, float | int | str | bool | list[float] | list[str] | None]

PACKAGES = ("vae-cli", "torch", "torchvision", "pytorch-lightning", "hydra-core", "omegaconf", "wandb", "numpy")


def provenance() -> Results:
    """Versions of packages and state of the code."""
    results: Results = {f"version/{name}": version(name) for name in PACKAGES}
    results["version/python"] = platform.python_version()
    here = Path(__file__).parent
    commit = _git(here, "rev-parse", "HEAD")
    return results | {"git/commit": commit, "git/dirty": bool(_git(here, "status", "--porcelain")) if commit else None}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def write(results: Mapping[str, object], path: Path) -> None:
    """Write JSON that any reader takes: numbers that are not finite become null."""
    plain = {name: _plain(value) for name, value in results.items()}
    write_text_atomically(path, json.dumps(plain, indent=2) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
