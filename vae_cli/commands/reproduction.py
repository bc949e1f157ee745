"""A run that was trained again: the numbers that differ from the earlier ones, and the likely reasons."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vae_cli.distributed.terminal import say
from vae_cli.errors import counted
from vae_cli.evaluation.keys import find
from vae_cli.evaluation.result_table import SHOWN
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.results import Results

ROWS = 12
"""Differences that are printed one by one."""
RECORDED = ("data/sha256", "init/sha256", "git/commit", "project/commit", "continued_at")
"""Keys of results.json, beside versions and machine, whose differences can change numbers."""
MACHINE = ("processor", "gpu", "threads", "processes")
"""Entries of the last start of a run."""


@dataclass(frozen=True)
class Difference:
    """A number of two runs, None where one has none; `error` is its standard error in the earlier run."""

    key: str
    earlier: Any
    now: Any
    error: float | None

    @property
    def size(self) -> float:
        """|now - earlier|, of lists the largest one; infinite where it has no meaning."""
        pairs = list(zip(*(one if isinstance(one, list) else [one] for one in (self.earlier, self.now)), strict=False))
        if not all(isinstance(one, int | float) for pair in pairs for one in pair):
            return math.inf
        return max((abs(now - earlier) for earlier, now in pairs), default=math.inf)

    @property
    def words(self) -> str:
        shown = (f"{one:.6g}" if isinstance(one, float) else str(one) for one in (self.earlier, self.now))
        by = f"by {self.size:.2g}" if math.isfinite(self.size) else ""
        if self.error and by:
            by += f", {self.size / self.error:.2g} standard errors"
        return f"  {self.key:<34} {' -> '.join(shown)}  {by}".rstrip()


@dataclass(frozen=True)
class Comparison:
    """The numbers of a run beside those of the earlier one.

    Args:
        count: numbers that are compared
        epoch: first epoch whose row of metrics.csv differs; None if no row does
    """

    earlier: RunFolder
    now: RunFolder
    count: int
    different: list[Difference]
    epoch: int | None

    @classmethod
    def of(cls, earlier: RunFolder, now: RunFolder) -> Comparison:
        """The comparison by the files of both folders."""
        before, after = earlier.results(), now.results()
        keys = [key for key in before if _is_number_of_the_model(key)]
        different = [
            Difference(key, before[key], after.get(key), before.get(f"{key}_se"))
            for key in keys
            if before[key] != after.get(key)
        ]
        rows = zip(map(_without_times, earlier.history()), map(_without_times, now.history()), strict=False)
        epoch = next((int(old["epoch"]) for old, new in rows if old != new), None)
        return cls(earlier, now, len(keys), different, epoch)

    @property
    def results(self) -> Results:
        """Entries of results.json: the earlier run, and the count of different numbers."""
        return {"reproduction/run": str(self.earlier.path), "reproduction/different": len(self.different)}

    def show(self) -> None:
        """Print the numbers that differ, the largest differences in standard errors first, and the likely reasons."""
        if not self.different:
            say(f"reproduces {self.earlier}: all {self.count} numbers are equal")
            return
        place = f"; metrics.csv from epoch {self.epoch} on" if self.epoch else ""
        say(f"differs from {self.earlier} in {len(self.different)} of {counted(self.count, 'number')}{place}")
        by_size = sorted(self.different, key=lambda one: one.size / (one.error or 1), reverse=True)
        for one in by_size[:ROWS]:
            say(one.words)
        if more := by_size[ROWS:]:
            say(f"  {', '.join(one.key for one in more)}")
        say(f"likely reasons: {'; '.join(self._reasons()) or 'nothing that is recorded differs'}")
        if ways := list(self._ways()):
            say(f"as it was: {'; '.join(ways)}")

    def _reasons(self) -> Iterator[str]:
        before, after = (_recorded(run.results()) for run in (self.earlier, self.now))
        for key in before:
            if key in after and before[key] != after[key]:
                yield f"{key.removeprefix('version/')} {before[key]}, now {after[key]}"
        for run in (self.earlier, self.now):
            for file in sorted(run.path.glob("*.diff")):
                yield f"code that was not committed, {run}/{file.name}"
        if len(starts := self.earlier.results().get("starts", [])) > 1:
            yield f"the earlier run had {len(starts)} starts"

    def _ways(self) -> Iterator[str]:
        """Commands that bring back packages and code."""
        before, after = (_recorded(run.results()) for run in (self.earlier, self.now))
        changed = [key for key in before if key in after and before[key] != after[key]]
        names = [key.removeprefix("version/") for key in changed if key.startswith("version/")]
        packages = [f"{name}=={before[f'version/{name}']}" for name in names if name not in ("python", "vae-cli")]
        if packages:
            yield shlex.join(["pip", "install", *packages])
        for key in changed:
            if key.endswith("/commit") and before[key]:
                yield f"git checkout {before[key]}"
        for file in sorted(self.earlier.path.glob("*.diff")):
            yield shlex.join(["git", "apply", str(file)])


def _is_number_of_the_model(key: str) -> bool:
    """True for the numbers of training and evaluation but for its speed."""
    number = find(key)
    return key.partition("/")[0] in SHOWN and not (number and number.unit == "1/s")


def _recorded(results: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, code, data and machine of a run, as far as its version has recorded them."""
    start = next(reversed(results.get("starts", ())), {})
    kept = {key: value for key, value in results.items() if key.startswith("version/") or key in RECORDED}
    return kept | {key: start[key] for key in MACHINE if key in start}


def _without_times(row: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if not name.endswith(("seconds", "_per_second"))}
