"""What runs left in their folders."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from vae_cli.errors import UserError
from vae_cli.folders import CONFIG, RESULTS, display

APART = ("seed", "resume", "ckpt", "logger", "trainer.accelerator", "trainer.devices", "trainer.threads")
"""Keys in which runs of one configuration may differ."""


@dataclass(frozen=True)
class Run:
    """A run: configuration and results by flat names, epochs, and status: done, failed, interrupted or unfinished."""

    folder: Path
    config: dict[str, Any]
    results: dict[str, Any]
    history: list[dict[str, float]]

    @property
    def status(self) -> str:
        """How it ended, as far as is known."""
        return self.results.get("status", "unfinished")

    @cached_property
    def key(self) -> tuple[tuple[str, str], ...]:
        """What runs of one configuration share: everything but APART, so that it is the configuration itself."""
        return tuple(sorted((name, repr(v)) for name, v in self.config.items() if not apart(name)))

    @property
    def validation(self) -> float | None:
        """What the checkpoint was chosen by: the best validation ELBO, or minus the distortion where there is none."""
        elbos = [row["val/elbo"] for row in self.history if "val/elbo" in row]
        distortions = [-row["val/distortion"] for row in self.history if "val/distortion" in row]
        values = elbos or distortions
        return max(values) if values else None


def apart(name: str) -> bool:
    """Whether a key may differ among the runs of one configuration."""
    return any(name == key or name.startswith(f"{key}.") for key in APART)


def find(folders: Sequence[Path]) -> list[Run]:
    """All runs in these folders and below them, in the order of their paths; UserError where there are none."""
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{display(folder)}: no such folder; name runs, sweeps, or a folder above them")
    files = sorted({file.resolve() for folder in folders for file in folder.rglob(CONFIG)})
    runs = [read(file.parent) for file in files if _is_run(file)]
    if not runs:
        places = ", ".join(map(display, folders))
        raise UserError(f"{places}: no runs here (a run's folder holds {CONFIG}); vae-train writes them to outputs/")
    return runs


def read(folder: Path) -> Run:
    """The run in a folder; what it has not written yet is missing."""
    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        file = folder / RESULTS
        results = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        table = folder / "metrics.csv"
        rows = list(csv.DictReader(table.read_text().splitlines())) if table.is_file() else []
        history = [{name: float(value) for name, value in row.items() if value} for row in rows]
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{display(folder)}: not a readable run ({reason})") from error
    return Run(folder, dict(flat(config)), results, history)


def _is_run(file: Path) -> bool:
    """Other programs name their files config.yaml as well: W&B does, below a run's folder."""
    return "wandb" not in file.parts and "_target_: vae_cli" in file.read_text(encoding="utf-8", errors="replace")


def flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings by dotted names.

    >>> dict(flat({"a": {"b": 1, "c": [2, 3]}, "d": None}))
    {'a.b': 1, 'a.c': [2, 3], 'd': None}
    """
    if isinstance(node, dict):
        for name, value in node.items():
            yield from flat(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, node
