"""The folders of a sweep's jobs, which are named by the overrides that vary among them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from omegaconf import DictConfig, OmegaConf

from vae_cli.config.compose import parse
from vae_cli.config.settings import not_in_names
from vae_cli.runs.overrides import key_of

LONGEST = 90
"""Characters of a name; a longer one is cut, and a hash tells it from others."""
EXCLUDED = "hydra.job.config.override_dirname.exclude_keys"
JOBS = "hydra.callbacks.sweep.jobs"
"""Keys of hydra that `vae-train` sets for a sweep."""
SUBDIR = "${vae_job:${hydra.job.override_dirname}}"
"""The folder of a job in its sweep, unless the user has set another."""


def left_out(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The keys that the names of these jobs leave out: those with one value in all jobs, unless nothing varies."""
    alike = set.intersection(*map(set, jobs))
    varies = any(set(job) - alike for job in jobs)
    return [*not_in_names(), *(sorted(map(key_of, alike)) if varies else [])]


def job_name(overrides: str) -> str:
    """The folder name of a job: its overrides in full, or, where a character or the length does not fit, with a hash.

    >>> job_name("objective.beta=2,seed=1"), job_name("network.hidden=[16,16]")
    ('objective.beta=2,seed=1', 'network.hidden=16,16-dedc0db9')
    """
    overrides = re.sub(r"(^|,)\++", r"\1", overrides)  # +key=value adds a key
    name = re.sub(r"[^A-Za-z0-9._=,+-]+", "_", re.sub(r"[\[\]'\" ]", "", overrides))[:LONGEST].strip(".-,")
    return name if name and name == overrides else f"{name or 'job'}-{_digest(overrides)}"


def job_folder(varied: str, *, _root_: DictConfig) -> str:
    """The folder of a job in its sweep, by hydra's override_dirname."""
    return _folder(varied, _root_.hydra.overrides.task, Path(_root_.hydra.sweep.dir))


def grid_folders(config: DictConfig) -> list[str]:
    """The folders of the jobs of a grid, in order; empty where the user names them otherwise."""
    hydra = config.hydra
    if not _names_jobs(config):
        return []
    preset = [f"{key}={value}" for key, value in (hydra.sweeper.params or {}).items()]
    jobs = BasicSweeper.split_arguments(parse([*preset, *hydra.overrides.task]), None)[0]
    return job_folders(config, jobs)


def job_folders(config: DictConfig, jobs: Sequence[Sequence[str]]) -> list[str]:
    """The folders of jobs of a sweep by their overrides; empty where the user names them otherwise."""
    hydra = config.hydra
    if not _names_jobs(config):
        return []
    form, place = hydra.job.config.override_dirname, Path(hydra.sweep.dir)
    settings = list(form.exclude_keys), form.item_sep, form.kv_sep
    return [_folder(get_overrides_dirname(parse(job), *settings), job, place) for job in jobs]


def _names_jobs(config: DictConfig) -> bool:
    """True unless the user names the folders of jobs otherwise."""
    return f"subdir: {SUBDIR}\n" in OmegaConf.to_yaml(config.hydra.sweep)


def _folder(varied: str, overrides: Sequence[str], sweep: Path) -> str:
    """The folder of a job by the overrides that vary; an earlier version has named it by all overrides."""
    out = not_in_names()
    whole = ",".join(sorted(line for line in overrides if key_of(line) not in out))
    slug = re.sub(r"[^A-Za-z0-9._=-]+", "_", whole)[:80].lstrip(".-") or "job"
    earlier = f"{slug}-{_digest(whole)}"
    return earlier if (sweep / earlier).is_dir() else job_name(varied or "default")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
