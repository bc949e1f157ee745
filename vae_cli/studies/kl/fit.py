"""`vae-kl`: a Gaussian fitted to a target by one direction of KL from several starts; minima and figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vae_cli.config.command_schemas import KLConfig
from vae_cli.config.schema import plain
from vae_cli.figures.drawing import save
from vae_cli.runs.atomic_files import new_folder, write_text_atomically
from vae_cli.runs.layout import display
from vae_cli.studies.kl.directions import Direction
from vae_cli.studies.kl.figure import draw
from vae_cli.studies.kl.minima import Minimum, minima


def fit(config: KLConfig) -> Path:
    """Find the minima, print them, and write minima.json and the figure into config.out, a new folder."""
    folder = new_folder(config.out)
    direction: Direction = config.direction.build(config.target.build())
    found = minima(direction, config.starts)
    folder.mkdir(parents=True, exist_ok=True)
    results = plain(config) | {"loss": direction.loss_name, "minima": [asdict(minimum) for minimum in found]}
    write_text_atomically(folder / "minima.json", json.dumps(results, indent=2) + "\n")
    save({direction.name: draw(direction, found)}, folder)
    Console().print(_table(direction, found))
    print(f"written to {display(folder)}")
    return folder


def _table(direction: Direction, found: Sequence[Minimum]) -> Table:
    title = f"min {direction.loss_name} over q = N(m, s²)"
    table = Table("minimum", "m", "s", "loss (nats)", "starts", title=title, title_justify="left")
    for number, one in enumerate(found, 1):
        table.add_row(str(number), f"{one.mean:.4f}", f"{one.scale:.4f}", f"{one.loss:.4f}", str(one.starts))
    return table
