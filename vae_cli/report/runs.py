"""What runs left in their folders."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from vae_cli.config import signatures
from vae_cli.config.comparison import flat, written
from vae_cli.config.schema import setting_of
from vae_cli.errors import UserError
from vae_cli.runs.layout import CONFIG, RESULTS, SUPERSEDED, display
from vae_cli.runs.status import FILE, Status, run_status

OTHERS = {"wandb", ".hydra", ".submitit", SUPERSEDED}
"""Folders of other programs, in which a config.yaml is no run's, and of runs that were replaced by others."""


@dataclass(frozen=True)
class Run:
    """A run: configuration and results by flat names, and a row for each epoch."""

    folder: Path
    config: dict[str, Any]
    results: dict[str, Any]
    history: list[dict[str, float]]
    stands: tuple[str, str]

    @property
    def name(self) -> str:
        """Its folder, as a user would type it."""
        return display(self.folder)

    @property
    def status(self) -> str:
        """As `vae_cli.runs.status.standing` says; damaged where its files cannot be read."""
        return self.stands[0]

    @property
    def reason(self) -> str:
        """Why it is not done, in a line."""
        if self.stands == ("unfinished", ""):
            return f"still running or killed, {len(self.history)} epochs so far; resume=DIR goes on with it"
        return self.stands[1] or "no reason was written"

    @property
    def digest(self) -> str | None:
        """The beginning of the SHA-256 of its data; None where no results tell it."""
        digest = self.results.get("data/sha256")
        return digest[:12] if isinstance(digest, str) else None

    @cached_property
    def key(self) -> tuple[tuple[str, str], ...]:
        """What runs of one configuration share: every key that distinguishes configurations."""
        return tuple(
            sorted((name, written(value)) for name, value in self.config.items() if setting_of(name).distinguishes)
        )

    @cached_property
    def numbers(self) -> dict[str, float]:
        """The finite numbers of results.json, and by what its checkpoint was chosen, as validation/..."""
        found = {n: float(v) for n, v in self.results.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        return self._validation() | {name: value for name, value in found.items() if math.isfinite(value)}

    def _validation(self) -> dict[str, float]:
        """The best validation ELBO of the last phase, or distortion where there is no bound: what `best.ckpt` has.

        Nothing of an objective that does not choose its checkpoint by it. Without metrics.csv (logger=none) it is that
        of results.json, unless an evaluation of the validation data has taken its place, which has a standard error.
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
    """Whether an objective's best epoch is that of the best bound; that of a class which is not here may be."""
    try:
        return "selection" in signatures.read(str(objective)).provides
    except LookupError:
        return True


def find(folders: Sequence[Path]) -> list[Run]:
    """All runs in these folders and below them, in the order of their paths; UserError where none can be read."""
    found = {
        file.parent.resolve()
        for folder in folders
        for name in (CONFIG, RESULTS, FILE)
        for file in folder.rglob(name)
        if not OTHERS & set(file.relative_to(folder).parts)
    }
    runs = [run for folder in sorted(found) if (run := read(folder))]
    if not runs:
        places = ", ".join(map(display, folders))
        raise UserError(f"{places}: no runs here (a run's folder holds {CONFIG}); vae-train writes them to outputs/")
    if not any(run.config or run.status not in ("damaged", "failed") for run in runs):
        raise UserError(f"{runs[0].name}: {runs[0].reason}; name a folder with a run that can be read")
    return runs


def read(folder: Path) -> Run | None:
    """The run in a folder; one of status damaged where it cannot be read; None where another program's files are."""
    try:
        config = _parsed(folder / CONFIG, yaml.safe_load)
        results = _parsed(folder / RESULTS, json.loads)
        history = _parsed(folder / "metrics.csv", _rows)
        status = Status.read(folder)
    except UserError as error:
        return Run(folder, {}, {}, [], ("damaged", str(error)))
    ours = {"model", "dataset"} <= config.keys() if config is not None else bool(status) or "status" in results
    known = dict(flat(config or {}))
    if config and (continued := (results or {}).get("continued_at")):
        known["continued_at"] = continued  # another schedule than that of a run of so many epochs
    if config and (parts := (results or {}).get("init/parts")):
        place = f"epoch {results['init/epoch']}, sha256 {str(results['init/sha256'])[:12]}"
        known["init.weights"] = f"{parts} ({place})"
    return Run(folder, known, results or {}, history or [], run_status(folder)) if ours else None


def _parsed(file: Path, parse: Callable[[str], Any]) -> Any:
    """The content of a file, None where there is none; UserError where it is damaged."""
    if not file.is_file():
        return None
    try:
        content = parse(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict | list):
            raise ValueError("it holds nothing")
        if isinstance(content, list) != (file.suffix == ".csv"):
            raise ValueError("it holds a list")
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{file.name} cannot be read ({reason}); run it again, or delete the folder") from error
    return content


def _rows(text: str) -> list[dict[str, float]]:
    """The rows of metrics.csv without their empty cells."""
    return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(text.splitlines())]
