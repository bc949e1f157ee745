"""`vae-report`: the page, the table in two formats, and the table on the terminal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vae_cli.figures.style import styled
from vae_cli.files import write_text_atomically
from vae_cli.folders import display
from vae_cli.report.groups import group
from vae_cli.report.page import page
from vae_cli.report.plots import plots
from vae_cli.report.runs import find
from vae_cli.report.table import Table

WIDTH = 160


def report(folders: Sequence[Path], out: Path) -> list[Path]:
    """Read the runs in and below `folders` and write report.html, report.csv and report.tex into `out`."""
    groups = group(find(folders))
    table = Table.of(groups)
    console = Console()
    table.print(console if console.is_terminal else Console(width=WIDTH))
    title = "vae-report: " + ", ".join(display(folder) for folder in folders)
    with styled():
        text = page(title, groups, table, plots(groups, table.metrics))
    written = [out / f"report.{kind}" for kind in ("html", "csv", "tex")]
    for path, content in zip(written, (text, table.csv(), table.latex()), strict=True):
        write_text_atomically(path, content)
    print("written to " + ", ".join(os.path.relpath(path) for path in written))
    return written
