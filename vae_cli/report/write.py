"""`vae-report`: the page, the table as text, CSV and LaTeX, and on request the plots in W&B."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from vae_cli.errors import UserError, first_line, warn
from vae_cli.figures.style import rendered, styled
from vae_cli.report.groups import changed
from vae_cli.report.page import report_page
from vae_cli.report.plots import Plot, plots
from vae_cli.report.plots.search import search_plots
from vae_cli.report.run_page import run_page
from vae_cli.report.runs import Run, find
from vae_cli.report.table import Table, csv_text, latex_text, tables
from vae_cli.runs.atomic_files import write_text_atomically
from vae_cli.runs.layout import display
from vae_cli.runs.study import STUDY

WIDTH = 160


def report(folders: Sequence[Path], out: Path, wandb: bool = False) -> None:
    """Read the runs in and below `folders`; write report.html, report.csv and report.tex into `out`.

    With `wandb` log the plots to W&B; a failure of this is a warning. If no run has begun yet, print only their states.
    """
    runs = find(folders)
    found = tables(runs)
    if not found:  # all are queued
        _list(runs)
        return
    with styled():
        drawn = [(table, plots(table.groups, table.metrics)) for table in found]
        searches = [plot for folder in search_folders(runs) for plot in search_plots(folder)]
        title = "vae-report: " + ", ".join(map(display, folders))
        text = run_page(runs[0], out) if len(runs) == 1 else report_page(title, runs, drawn, searches, out)
        out.mkdir(parents=True, exist_ok=True)
        written = [out / f"report.{kind}" for kind in ("html", "csv", "tex")]
        for path, content in zip(written, (text, csv_text(found), latex_text(found)), strict=True):
            write_text_atomically(path, content)
        console = Console()
        for table in found:
            table.print(console if console.is_terminal else Console(width=WIDTH))
            for sentence in changed(table.groups):
                print(sentence)
        _list(runs)
        print("written to " + ", ".join(os.path.relpath(path) for path in written))
        if wandb:
            try:
                _log(runs, drawn, out)
            except Exception as error:
                warn(f"the plots are not in Weights & Biases: {first_line(error)}")


def _list(runs: Sequence[Run]) -> None:
    """A line for each run that is not done."""
    for run in runs:
        if run.status != "done":
            print(f"{run.name}: {run.status}: {run.reason}")


def search_folders(runs: Sequence[Run]) -> list[Path]:
    """The folders of searches that these runs are trials of."""
    return [folder for folder in dict.fromkeys(run.folder.parent for run in runs) if (folder / STUDY).is_file()]


def wandb_settings(runs: Sequence[Run]) -> dict[str, Any]:
    """The W&B settings of the first run that was logged there; UserError if there is none."""
    for run in runs:
        prefix = "logger.wandb."
        settings = {key.removeprefix(prefix): v for key, v in run.config.items() if key.startswith(prefix)}
        if settings and settings["mode"] != "disabled":
            return settings
    raise UserError("none of the runs was logged there; log runs with logger=wandb")


def sweep(runs: Sequence[Run]) -> Path:
    """The folder that contains these runs; the run's own folder for a single run."""
    return Path(os.path.commonpath([run.folder for run in runs]))


def _log(runs: Sequence[Run], drawn: Sequence[tuple[Table, Sequence[Plot]]], out: Path) -> None:
    """Log the plots to a W&B run in the group of the sweep."""
    from vae_cli.training.loggers.weights_and_biases import log_report  # it imports torch, which takes seconds

    settings, folder = wandb_settings(runs), sweep(runs)
    several = len(drawn) > 1
    images = {
        f"report/{f'{table.data}/' * several}{plot.name}": rendered(plot.figure)
        for table, found in drawn
        for plot in found
    }
    mode = log_report(settings, folder, out.resolve(), images)
    if mode != "disabled":
        print(f"plots logged to Weights & Biases ({mode}) as {folder.name}")
