"""The final numbers of a run as a table on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from vae_cli.distributed.terminal import note, width
from vae_cli.evaluation.keys import SPLITS, find

SHOWN = (*SPLITS, "exact", "gaps")
"""Prefixes of the rows."""
DIGITS = 3
"""Decimals of numbers, unless a standard error has its first digit further on."""
WIDTH = 100
"""Columns of the table where there is no terminal."""


def print_table(results: Mapping[str, object], title: str) -> None:
    """The numbers of training, of splits, of gaps and of exact answers, each with its standard error and unit."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)
    for column, justify in (("", "left"), ("value", "right"), ("standard error", "right"), ("unit", "left")):
        table.add_column(column, justify=justify, no_wrap=True)  # pyright: ignore[reportArgumentType]
    for key, value in results.items():
        if key.partition("/")[0] not in SHOWN or not isinstance(value, int | float | list) or key.endswith("_se"):
            continue
        error, number = results.get(f"{key}_se"), find(key)
        unit = number.unit if number else ""  # a metric of the user's own
        digits = _digits(error) if isinstance(error, float) else DIGITS
        text = f"{value:.4g}" if unit == "samples" else _number(value, digits)
        table.add_row(key, text, _number(error, digits) if isinstance(error, float) else "", unit)
    # with a height: without one a terminal that cannot draw a line again has 80 columns in rich, whatever the width
    console = Console(width=width() or WIDTH, height=len(results), record=True)
    console.print(table)
    note(console.export_text())


def _digits(error: float) -> int:
    """Decimals that show at least one digit of a standard error."""
    return DIGITS if error == 0 or not math.isfinite(error) else min(9, max(DIGITS, -math.floor(math.log10(error))))


def _number(value: object, digits: int = DIGITS) -> str:
    """A number, the extremes of a list of numbers, or a list of positions."""
    if isinstance(value, list):
        positions = all(isinstance(one, int) for one in value)
        return ", ".join(map(str, value)) if positions else f"{min(value):.3f} to {max(value):.3f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
