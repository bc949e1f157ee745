"""The end of a search: the score of each trial, the best trial, a command that trains it longer, and figures."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vae_cli.config.search import WORST, score
from vae_cli.errors import counted
from vae_cli.runs.atomic_files import room, write_atomically
from vae_cli.runs.folder import RunFolder

LONGER = 4
"""Times the epochs of a trial that the command for the best one trains."""


def add_scores(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Add to each row its score (None for -inf), its number of epochs, and if it is the best trial that is done."""
    results = [RunFolder(folder / row["folder"]).results_if_readable() for row in rows]
    scores = list(map(score, results))
    best = max((value for value, row in zip(scores, rows, strict=True) if row["status"] == "done"), default=WORST)
    for row, value, numbers in zip(rows, scores, results, strict=True):
        row["score"] = None if value == WORST else value
        row["epochs"] = numbers.get("train/epochs")
        row["best"] = row["status"] == "done" and value == best != WORST


def pruned(rows: Sequence[dict[str, Any]], folder: Path) -> str | None:
    """The number of trials that were pruned, and a command that continues one; None where there is none."""
    if not (runs := [RunFolder(folder / row["folder"]) for row in rows if row["status"] == "pruned"]):
        return None
    trained = sum(row["epochs"] or 0 for row in rows)
    states = [RunFolder(folder / row["folder"]).status() for row in rows]
    planned = sum(state.epochs for state in states if state)
    again = shlex.join(["vae-train", f"resume={runs[0]}"])
    count = f"pruned {len(runs)} of {counted(len(rows), 'trial')}, trained {trained:,} of {counted(planned, 'epoch')}"
    return f"{count}; continue one, as in: {again}"


def longer(rows: Sequence[dict[str, Any]], folder: Path) -> str | None:
    """The command that trains the best trial for more epochs; None where no trial has a score."""
    row = next((row for row in rows if row["best"]), None)
    if row is None:
        return None
    epochs = RunFolder(folder / row["folder"]).config().trainer.max_epochs
    left_out = ("hparams_search=", "sweep=", "trainer.max_epochs=", "callbacks.pruning")
    kept = [override for override in row["overrides"] if not override.lstrip("+").startswith(left_out)]
    return shlex.join(["vae-train", *kept, f"trainer.max_epochs={LONGER * epochs}"])


def save_figures(folder: Path) -> None:
    """Write the plots of a search into its folder."""
    # matplotlib, which the check of a command line does not wait for
    from vae_cli.figures.style import styled, write_png
    from vae_cli.report.plots.search import search_plots

    with styled():
        for plot in search_plots(folder):
            path = room(folder / "figures") / f"{Path(plot.name).name}.png"
            write_atomically(path, partial(write_png, plot.figure))
