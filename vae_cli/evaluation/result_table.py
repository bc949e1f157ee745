"""The final numbers of a run as a table on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vae_cli.distributed.terminal import note, width
from vae_cli.evaluation.keys import SPLITS, find

if TYPE_CHECKING:
    from rich.table import Table

Row = tuple[str, str, str, str]
HEADER: Row = ("", "value", "standard error", "unit")
SIDES = "<>><"
"""Alignment of the columns."""
SHOWN = (*SPLITS, "exact", "gaps")
"""Prefixes of the rows."""
DIGITS = 3
"""Decimals of numbers, unless a standard error has its first digit further on."""


def print_table(results: Mapping[str, object], title: str) -> None:
    """The numbers of training, of splits, of gaps and of exact answers, each with its standard error and unit."""
    rows = list[Row]()
    for key, value in results.items():
        if key.partition("/")[0] not in SHOWN or not isinstance(value, int | float | list) or key.endswith("_se"):
            continue
        error, number = results.get(f"{key}_se"), find(key)
        unit = number.unit if number else ""  # a metric of the user's own
        digits = _digits(error) if isinstance(error, float) else DIGITS
        text = f"{value:.4g}" if unit == "samples" else _number(value, digits)
        rows.append((key, text, _number(error, digits) if isinstance(error, float) else "", unit))
    text = plain(rows, title)
    if columns := width():
        from rich.console import Console

        # with a height: without one a terminal that cannot draw a line again has 80 columns in rich, whatever the width
        Console(width=columns, height=len(rows)).print(styled(rows, title))
    else:
        print(text, flush=True)
    note(text)


def plain(rows: Sequence[Row], title: str) -> str:
    """The text of the table; rich takes a hundred times as long for it."""
    sizes = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    form = "  " + "   ".join(f"{{:{side}{size}}}" for side, size in zip(SIDES, sizes, strict=True))
    rule = " " + "─" * (sum(sizes) + 3 * len(sizes) - 1)
    lines = [title, "", form.format(*HEADER), rule, *(form.format(*row) for row in rows), ""]
    return "\n".join(map(str.rstrip, lines))


def styled(rows: Sequence[Row], title: str) -> Table:
    """The table for a terminal, which cuts what does not fit."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)
    for column, side in zip(HEADER, SIDES, strict=True):
        table.add_column(column, justify="right" if side == ">" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _digits(error: float) -> int:
    """Decimals that show at least one digit of a standard error."""
    return DIGITS if error == 0 or not math.isfinite(error) else min(9, max(DIGITS, -math.floor(math.log10(error))))


def _number(value: object, digits: int = DIGITS) -> str:
    """A number, the extremes of a list of numbers, or a list of positions."""
    if isinstance(value, list):
        positions = all(isinstance(one, int) for one in value)
        return ", ".join(map(str, value)) if positions else f"{min(value):.3f} to {max(value):.3f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
