"""Where configurations come from and where runs go."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from vae_cli.errors import ConfigError

CONFIG = "config.yaml"
RESULTS = "results.json"
LOCK = ".lock"
SUPERSEDED = "superseded"
STARTED = "overrides.yaml"
"""What a run writes first."""
LAST = Path("checkpoints") / "last.ckpt"
PREVIOUS = LAST.with_name("previous.ckpt")
DAMAGED = LAST.with_name("damaged.ckpt")
OWN = ("best", "last", "previous")
"""Checkpoints that a run keeps, by their names."""

DATA = ("dataset.path", "dataset.root")
"""Where a run's data are: not what they are, which their SHA-256 tells."""
PATHS = (*DATA, "run", "out", "target.path", "study.path", "resume", "init", "ckpt", "hydra.run.dir", "hydra.sweep.dir")
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


def job_name(overrides: str) -> str:
    """A folder name for a job of a sweep: valid and its own for any overrides, and readable for most."""
    slug = re.sub(r"[^A-Za-z0-9._=-]+", "_", overrides)[:80].lstrip(".-") or "job"
    return f"{slug}-{hashlib.sha256(overrides.encode()).hexdigest()[:8]}"


def sweep_name(folder: Path) -> str:
    """A sweep by its folder's last two parts, which are a date and a time unless the user names others."""
    return "/".join(folder.absolute().parts[-2:])


def holds_run(folder: Path) -> bool:
    """True if a run has written here."""
    return (folder / CONFIG).exists() or (folder / RESULTS).exists()


def run_around(path: Path) -> Path | None:
    """The folder of a run that a path lies in, or is."""
    path = path.resolve()
    return next((p for p in (path, *path.parents) if all((p / name).is_file() for name in (CONFIG, LAST))), None)


def newest_run(names: Sequence[Path] = (LAST,)) -> Path | None:
    """The newest run under outputs/train that has all of these files."""
    runs = [path.parent for path in (outputs_folder() / "train").glob(f"*/*/{CONFIG}")]
    whole = [run for run in runs if all((run / name).exists() for name in names)]
    return max(whole, key=lambda run: (run / CONFIG).stat().st_mtime_ns, default=None)


def initial_checkpoint(init: str) -> Path:
    """The file that `init` names, or the best checkpoint of the run in that folder; ConfigError where there is none."""
    path = Path(init).expanduser().absolute()
    file = checkpoint_path(path, "best") if path.is_dir() else path
    if not file.is_file():
        problem = f"it has no {LAST.with_name('best.ckpt')}" if path.is_dir() else "there is no such file or folder"
        newest = newest_run()
        hint = f"nearest: init={display(newest)}" if newest else "name the folder of a run, or a checkpoint"
        raise ConfigError(f"init={init}: {problem}; {hint}")
    return file


def checkpoint_path(folder: Path, ckpt: str) -> Path:
    """`best`, `last` and `previous` name a run's own checkpoints, anything else is a path."""
    return folder / LAST.with_name(f"{ckpt}.ckpt") if ckpt in OWN else Path(ckpt)
