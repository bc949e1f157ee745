"""steps.csv: rows of single optimiser steps."""

from __future__ import annotations

import csv
from contextlib import suppress

from vae_cli.errors import UserError
from vae_cli.runs.atomic_files import write_csv_atomically
from vae_cli.runs.folder import RunFolder
from vae_cli.training.loggers.run_logger import Row, RunLogger


class StepsFile(RunLogger):
    """Adds each row to steps.csv at once, so that a killed run keeps it.

    Args:
        resumed: step of the checkpoint that the run resumes from; later rows are dropped
    """

    def __init__(self, run: RunFolder, resumed: int | None) -> None:
        self.path, self.columns = run.steps_file, list[str]()
        self.rows: list[Row] = []
        if resumed is not None:
            with suppress(UserError, KeyError):  # a damaged file is written anew
                earlier = [row for row in run.steps() if row["step"] <= resumed]
                self.rows += [row | {name: int(row[name]) for name in ("epoch", "step")} for row in earlier]

    def log_step(self, row: Row) -> None:
        self.rows.append(row)
        if set(row) <= set(self.columns):
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)
        else:
            self.columns = write_csv_atomically(self.path, self.rows)
