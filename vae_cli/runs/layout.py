"""Places of configuration files and of runs, and the keys that hold paths."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path

DATA = ("dataset.path", "dataset.root")
"""Keys that hold the place of a run's data; their SHA-256 says which data they are."""
RUNS = ("run", "resume", "reproduce", "init")
"""Keys that hold the folder of a run, its name, or `last` for the newest one."""
PATHS = (*DATA, *RUNS, "data", "out", "target.path", "study.path", "ckpt", "hydra.run.dir", "hydra.sweep.dir")
"""All keys that hold a path."""


def conf_folder() -> Path:
    """This package's own configuration files: inside an installed package, beside it in a source tree."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def display(path: Path) -> str:
    """A path as a user would type it: relative to the working directory, or conf/... for our own files."""
    path = path.resolve()
    for base in (Path.cwd(), conf_folder().parent):
        if path.is_relative_to(base):
            return str(path.relative_to(base))
    return str(path)


def outputs_folder() -> Path:
    """The root of all runs: VAE_OUTPUT_DIR, else ./outputs."""
    return Path(os.environ.get("VAE_OUTPUT_DIR") or "outputs").absolute()


def sweep_name(folder: Path) -> str:
    """The name of a sweep: the last two parts of its folder, by default a date and a time."""
    return "/".join(folder.absolute().parts[-2:])


def queue_name(folder: Path) -> str:
    """The name of a sweep in SLURM's queue: eight characters, because squeue shows no more.

    >>> queue_name(Path("/home/me/outputs/beta")), queue_name(Path("/home/me/multirun/2026-11-27/00-03-01-123456"))
    ('beta-nu4', '0003-av4')
    """
    word = re.sub(r"^(\d\d-\d\d-\d\d-\d+)-", "", folder.absolute().name)
    digest = base64.b32encode(hashlib.sha256(bytes(folder.absolute())).digest()).decode().lower()
    return f"{re.sub('[^A-Za-z0-9]', '', word)[:4]}-{digest[:3]}"
