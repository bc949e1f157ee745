"""`vae-cavi`: coordinate ascent on a study's ELBO; its steps, findings and figure."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vae_cli.config.command_schemas import CAVIConfig
from vae_cli.config.schema import plain
from vae_cli.errors import counted
from vae_cli.figures.drawing import save
from vae_cli.figures.style import styled
from vae_cli.runs.atomic_files import new_folder, write_text_atomically
from vae_cli.runs.layout import display
from vae_cli.studies.cavi.ascent import Step, Study, ascend

SHOWN = 8
"""Steps printed at the start and at the end; ascent.json has all."""


def run(config: CAVIConfig) -> Path:
    """Run the ascent, print it, and write ascent.json and the figure into config.out, a new folder."""
    folder = new_folder(config.out)
    study: Study = config.study.build()
    steps = ascend(study, config.sweeps, config.tolerance)
    results = plain(config) | {"findings": study.findings(), "steps": [asdict(step) for step in steps]}
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomically(folder / "ascent.json", json.dumps(results, indent=2) + "\n")
    with styled():
        figure = study.figure(steps)
    save({"ascent": figure}, folder)
    Console().print(_table(steps))
    print(f"ELBO {steps[-1].elbo:.6f} nats after {counted(len(steps) - 1, 'step')} without a loss")
    print(f"written to {display(folder)}")
    return folder


def _table(steps: list[Step]) -> Table:
    table = Table("step", "factor", "ELBO (nats)", "gain")
    gains = [0.0, *(b.elbo - a.elbo for a, b in pairwise(steps))]
    for number, (step, gain) in enumerate(zip(steps, gains, strict=True)):
        if number == SHOWN and len(steps) > 2 * SHOWN:
            table.add_row("...", "...", "...", "...")
        if number < SHOWN or number >= len(steps) - SHOWN:
            table.add_row(str(step.number), step.factor, f"{step.elbo:.6f}", f"{gain:.2e}" if number else "")
    return table
