"""Runs of a report: configuration, results and history, read from their folders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vae_cli.config import signatures
from vae_cli.config.comparison import flat, written
from vae_cli.config.settings import setting_of
from vae_cli.errors import UserError, counted
from vae_cli.runs.find import FILES, walk
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import display
from vae_cli.runs.queue import Queue
from vae_cli.runs.run_files import CONFIG
from vae_cli.runs.saved_config import NotARunError
from vae_cli.runs.status import UNFINISHED, State


@dataclass(frozen=True)
class Run:
    """A run: configuration and results by flat names, a row for each epoch, state, overrides by key, and options."""

    folder: Path
    config: dict[str, Any]
    results: dict[str, Any]
    history: list[dict[str, float]]
    state: State
    typed: dict[str, str]
    options: dict[str, str]

    @property
    def name(self) -> str:
        """The path of its folder, as on the command line."""
        return display(self.folder)

    @property
    def status(self) -> str:
        """The state of the run's folder, or damaged if its files are not readable."""
        return self.state.name

    @property
    def reason(self) -> str:
        """The reason why it is not done, in one line."""
        if self.state == (UNFINISHED, ""):
            return f"still running or killed, {counted(len(self.history), 'epoch')} so far; resume it by resume=DIR"
        return self.state.reason or "no reason was written"

    @property
    def digest(self) -> str | None:
        """The first digits of the SHA-256 of its data; None if results.json has none."""
        digest = self.results.get("data/sha256")
        return digest[:12] if isinstance(digest, str) else None

    @property
    def data_settings(self) -> tuple[str, str]:
        """The class of the data set, and its file."""
        name = str(self.config.get("dataset._target_")).rpartition(".")[2]
        return name, str(self.config.get("dataset.path"))

    @property
    def data_name(self) -> str:
        """The name of its data; until the run has results, their option, or their class where none is recorded."""
        return str(self.results.get("data/name") or self.options.get("dataset") or self.data_settings[0])

    @cached_property
    def key(self) -> tuple[tuple[str, str], ...]:
        """The keys that distinguish configurations, with their values; equal for runs of one configuration."""
        return tuple(
            sorted((name, written(value)) for name, value in self.config.items() if setting_of(name).distinguishes)
        )

    @cached_property
    def numbers(self) -> dict[str, float]:
        """The finite numbers of results.json, and as validation/... the number that selected its checkpoint."""
        found = {n: float(v) for n, v in self.results.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        return self._validation() | {name: value for name, value in found.items() if math.isfinite(value)}

    def _validation(self) -> dict[str, float]:
        """The validation ELBO of `best.ckpt`, the best of the last phase; the distortion if there is no bound.

        Empty for an objective that selects its checkpoint otherwise. Without metrics.csv (logger=none) the number is
        that of results.json, unless it has a standard error: then it comes from a later evaluation.
        """
        if not _selects(self.config.get("objective._target_")):
            return {}
        last = self.history[-1].get("phase") if self.history else None
        for name, choose in (("elbo", max), ("distortion", min)):
            values = [row.get(f"val/{name}", math.nan) for row in self.history if row.get("phase") == last]
            if finite := [value for value in values if math.isfinite(value)]:
                return {f"validation/{name}": choose(finite)}
            value = self.results.get(f"val/{name}")
            if not self.history and isinstance(value, float) and f"val/{name}_se" not in self.results:
                return {f"validation/{name}": value}
        return {}


def _selects(objective: Any) -> bool:
    """True if an objective selects its checkpoint by the bound, or its class is not installed."""
    try:
        return "selection" in signatures.read(str(objective)).provides
    except LookupError:
        return True


def find(folders: Sequence[Path]) -> list[Run]:
    """All runs in and below these folders, sorted by path; UserError if none can be read."""
    found = {folder for folder, files in walk(folders) if FILES & {*files}}
    queue = Queue()
    runs = [run for folder in sorted(found) if (run := read(folder, queue))]
    if not runs:
        places = ", ".join(map(display, folders))
        raise UserError(f"{places}: no runs here (a run's folder holds {CONFIG}); vae-train writes them to outputs/")
    if not any(run.config or run.status not in ("damaged", "failed") for run in runs):
        raise UserError(f"{runs[0].name}: {runs[0].reason}; give a folder with a readable run")
    return runs


def read(folder: Path, queue: Queue | None = None) -> Run | None:
    """The run in a folder, damaged if a file is not readable; None if the files are another program's."""
    run = RunFolder(folder)
    try:
        results, history, status = run.results(), run.history(), run.status()
        config = OmegaConf.to_container(run.config()) if run.has_config else None
    except NotARunError:
        return None
    except UserError as error:
        reason = str(error).replace(f"{run}/", "")
        return Run(folder, {}, {}, [], State("damaged", reason), {}, {})
    if config is None and not status and "status" not in results:
        return None
    known = dict(flat(config or {}))
    if config and (continued := results.get("continued_at")):
        known["continued_at"] = continued  # its schedule differs from that of a run with this number of epochs
    if config and (parts := results.get("init/parts")):
        place = f"epoch {results['init/epoch']}, sha256 {str(results['init/sha256'])[:12]}"
        known["init.weights"] = f"{parts} ({place})"
    line = run.typed_if_readable()
    pairs = (override.lstrip("+").partition("=") for override in line.overrides)
    typed = {key: value for key, sign, value in pairs if sign and not key.startswith("hydra")}
    return Run(folder, known, results, history, (queue or Queue()).state(run), typed, line.options)
