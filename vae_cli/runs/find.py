"""The runs that a command line means: the newest one, the one around a folder, the one of a warm start."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from secrets import token_hex

from vae_cli.errors import ConfigError, warn
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import display, outputs_folder
from vae_cli.runs.run_files import CONFIG, RESULTS, STATUS, SUPERSEDED

NEWEST = "last"
"""The word for the newest single run on a command line, and the name of the link to it in the folder of outputs."""
FILES = {CONFIG, RESULTS, STATUS}
"""Files that a run has; a config.yaml may be another program's."""
OTHERS = {"wandb", ".hydra", ".submitit", ".slurm", SUPERSEDED}
"""Folders to skip: those of other programs, which may hold a config.yaml, and of superseded runs."""
OWN = {"checkpoints", "figures", "evaluations", "samples", "tensorboard", "export"}
"""Folders of a run."""
TIME = re.compile(r"\d\d-\d\d-\d\d-\d+")
"""The begin of the name of a folder, before the name of the run."""


def link_newest(run: RunFolder) -> None:
    """Let outputs/last lead to this run; of runs that start at one time any wins. Nothing where links cannot be made.

    Jobs of a sweep do not move the link: they are many, and their names tell them apart.
    """
    link = outputs_folder() / NEWEST
    partial = link.with_name(f".{NEWEST}.{token_hex(4)}.partial")
    with suppress(OSError):
        link.parent.mkdir(parents=True, exist_ok=True)
        partial.symlink_to(os.path.relpath(run.path.resolve(), link.parent.resolve()), target_is_directory=True)
        partial.replace(link)


def newest_run(saved: bool = False) -> RunFolder | None:
    """The run of outputs/last, else the one under outputs/train that began last; `saved`: with a last checkpoint."""
    linked = RunFolder((outputs_folder() / NEWEST).resolve())
    if linked.has_checkpoint or (linked.has_run and not saved):
        return linked
    runs = [RunFolder(path.parent) for path in (outputs_folder() / "train").glob(f"*/*/{CONFIG}")]
    found = [run for run in runs if run.has_checkpoint or not saved]
    return max(found, key=lambda run: run.started or 0, default=None)


def named(place: str) -> Path:
    """The path that a user names; `last` is the newest single run, even if there is a folder of that name.

    A word that is no path is the name of a run, which the folder of the run ends with (name=first).
    """
    if place != NEWEST:
        path = Path(place).expanduser().absolute()
        return path if path.exists() else _run_of_name(place) or path
    if (run := newest_run()) is None:
        raise ConfigError(
            f"{NEWEST}: there is no run in {display(outputs_folder())}; start one, or use the path of a folder"
        )
    return run.path


def names(*kinds: str) -> dict[str, list[Path]]:
    """The folders of runs (train) and sweeps (multirun) by the name that they were started with, newest first."""
    found: dict[str, list[Path]] = {}
    for path in sorted((path for kind in kinds for path in (outputs_folder() / kind).glob("*/*")), reverse=True):
        if (name := TIME.sub("", path.name, count=1)).startswith("-"):
            found.setdefault(name[1:], []).append(path)
    return found


def _run_of_name(name: str) -> Path | None:
    """The folder of the one run or sweep that was started with name=...; ConfigError where there are several."""
    found = names("train", "multirun").get(name, [])
    if len(found) > 1:
        others = ", ".join(map(display, found))
        raise ConfigError(f"{name}: {len(found)} runs have this name ({others}); use {display(found[0])}, the newest")
    return next(iter(found), None)


def walk(folders: Iterable[Path]) -> Iterator[tuple[Path, list[str]]]:
    """The folders in and below these that may be of runs and sweeps, and the names of their files; no link is taken."""
    for top in folders:
        for place, below, files in os.walk(top.resolve(), onerror=_left_out):
            below[:] = sorted({*below} - OTHERS - (OWN if FILES & {*files} else set()))
            yield Path(place), files


def _left_out(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        _tell(f"{display(Path(error.filename))}: {error.strerror}; it is left out")


_tell = cache(warn)  # once, though --watch looks again and again


def newest_instead(key: str) -> str:
    """The remedy for a key that should name a run."""
    newest = newest_run(saved=True)
    return f"use {key}={newest}, the newest run" if newest else "set it to the folder of a run"


def run_around(path: Path) -> RunFolder | None:
    """The run whose folder a path lies in, or is."""
    path = path.resolve()
    runs = (RunFolder(folder) for folder in (path, *path.parents))
    return next((run for run in runs if run.has_checkpoint), None)


def initial_checkpoint(init: str) -> Path:
    """The file that `init` names, or the best checkpoint of the run in that folder; ConfigError where there is none."""
    path = named(init)
    file = RunFolder(path).checkpoint("best") if path.is_dir() else path
    if not file.is_file():
        problem = "it has no checkpoints/best.ckpt" if path.is_dir() else "there is no such file or folder"
        raise ConfigError(f"init={init}: {problem}; {newest_instead('init')}")
    return file
