"""The number of jobs in a task of a SLURM array, by the time that earlier runs of their kind took."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from statistics import median

from omegaconf import DictConfig

from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import outputs_folder
from vae_cli.runs.run_files import RESULTS

LEAST = 60.0
"""Seconds that the jobs of a task should take together: its start takes some ten."""
NEWEST = 200
"""Earlier runs that are read at most."""
KIND = ("dataset", "model", "network", "objective", "evaluate", "trainer")
"""Groups whose options make the kind of a run."""


def jobs_per_task(config: DictConfig, runs: Sequence[RunFolder]) -> int:
    """cluster.pack; for `auto` as many jobs of the slowest kind as take a minute, 1 where none of their kind is known.

    A run of other epochs than trainer.max_epochs counts in proportion.
    """
    pack = config.cluster.pack
    if pack != "auto":
        return pack
    if config.trainer.num_nodes > 1 or config.trainer.devices != 1:
        return 1
    known = _seconds_per_epoch(runs[0].path.parent)
    kinds = {_kind(run) for run in runs}
    seconds = [median(known[kind]) * config.trainer.max_epochs for kind in kinds & known.keys()]
    if not seconds:
        print("cluster.pack=auto: no run of this kind has ended yet; each job has a task of its own")
        return 1
    return max(1, min(round(LEAST / max(seconds)), len(runs)))


def _kind(run: RunFolder) -> tuple[str | None, ...]:
    options = run.typed_if_readable().options
    return tuple(options.get(group) for group in KIND)


def _seconds_per_epoch(sweep: Path) -> dict[tuple[str | None, ...], list[float]]:
    """Seconds per epoch of the newest runs that are done, evaluation included: beside this sweep and in the outputs."""
    files = chain(
        sweep.parent.glob(f"*/*/{RESULTS}"),
        outputs_folder().glob(f"train/*/*/{RESULTS}"),
        outputs_folder().glob(f"multirun/*/*/*/{RESULTS}"),
    )
    newest = sorted(set(files), key=lambda file: file.stat().st_mtime, reverse=True)[:NEWEST]
    known: dict[tuple[str | None, ...], list[float]] = {}
    for run in (RunFolder(file.parent) for file in newest):
        results = run.results_if_readable()
        seconds, epochs = results.get("wall_seconds"), results.get("train/epochs")
        if results.get("status") == "done" and seconds and epochs:
            known.setdefault(_kind(run), []).append(seconds / epochs)
    return known
