"""jobs.json of a sweep: its command, its process and its jobs, which have no folders of their own before they begin."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from vae_cli.runs.atomic_files import write_text_atomically
from vae_cli.runs.status import Start

JOBS = "jobs.json"


@dataclass(frozen=True)
class Sweep:
    """A sweep as its last command began it.

    Args:
        start: of the command
        directory: working directory of the command
        searches: True if the jobs are trials of a search, which succeeds if one of them does
        jobs: names of the folders of the jobs, in order; empty for a search, which chooses them later
    """

    start: Start
    directory: str
    searches: bool
    jobs: list[str]

    @classmethod
    def read(cls, folder: Path) -> Sweep | None:
        """The sweep in a folder; None where there is none, or its file is damaged."""
        try:
            content = json.loads((folder / JOBS).read_text(encoding="utf-8"))
            jobs = [str(name) for name in content["jobs"]]
            return cls(Start(**content["start"]), str(content["directory"]), bool(content["searches"]), jobs)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def write(self, folder: Path) -> None:
        """Write the sweep into its folder."""
        write_text_atomically(folder / JOBS, json.dumps(asdict(self)) + "\n")
