"""A run's final numbers: results.json with flat keys."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

Results = dict[str, float | int | str | bool | list[float] | list[str] | list[dict[str, object]] | None]

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
