"""Numbers as spreadsheets write them: decimal points or commas, with or without separators of thousands."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vae_cli.errors import UserError

Decimal = Literal["point", "comma"]
EXPONENT = r"([eE][+-]?\d+)?$"
NUMBER: dict[Decimal, str] = {
    "point": r"^[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?" + EXPONENT,
    "comma": r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)?(,\d*)?" + EXPONENT,
}
"""A number with this decimal sign, whose thousands the other sign may separate."""
DECIMAL: dict[Decimal, str] = {
    "point": r"^[+-]?(\d{4,}|0|\d{1,3}(,\d{3})+)?\.\d+" + EXPONENT + r"|^[+-]?\d+\.(\d{1,2}|\d{4,})" + EXPONENT,
    "comma": r"^[+-]?(\d{4,}|0|\d{1,3}(\.\d{3})+)?,\d+" + EXPONENT + r"|^[+-]?\d+,(\d{1,2}|\d{4,})" + EXPONENT,
}
"""A number in which the sign cannot separate thousands."""
AMBIGUOUS = r"^[+-]?[1-9]\d{0,2},\d{3}$"
"""1,234 is one number with a decimal comma, and another with separated thousands."""
SPACED = r"^[+-]?\d{1,3}([\x{20}\x{a0}\x{2009}\x{202f}'\x{2019}]\d{3})+([.,]\d+)?$"
"""A number whose thousands a blank or an apostrophe separates."""
MARKED = r"^[+-]?[$€£¥(]\s?[+-]?[\d.,]+\)?$|^[+-]?[\d.,]+\s?[$€£¥%]$"
"""A number with a sign beside it that is no part of it: a percentage, an amount of money, brackets of a negative."""
MOSTLY = 0.9
"""A column with a larger fraction of numbers is one of numbers, and its other cells are mistakes."""


def decimal_of(
    columns: Iterable[tuple[str, pa.ChunkedArray]],
    place: Callable[[int], str],
    where: str,
    default: Decimal | None = None,
) -> Decimal:
    """The decimal sign of all numbers of a file, `default` where they do not show it.

    Raises UserError where its numbers disagree, or show neither and there is no default.
    """
    seen: dict[Decimal, str] = {}
    doubtful = ""
    for name, cells in columns:
        for sign, pattern in DECIMAL.items():
            if sign not in seen and (found := cell(cells, pattern, name, place)):
                seen[sign] = found
        doubtful = doubtful or cell(cells, AMBIGUOUS, name, place)
    way = "set dataset.decimal=point or dataset.decimal=comma"
    if len(seen) == 2:
        raise UserError(f"{where}: {seen['comma']} has a decimal comma, {seen['point']} a decimal point; {way}")
    if not seen and doubtful and default is None:
        raise UserError(f"{where}: {doubtful} has a decimal comma or separated thousands; {way}")
    return next(iter(seen)) if seen else default or "point"


def cell(cells: pa.ChunkedArray, pattern: str, name: str, place: Callable[[int], str]) -> str:
    """The place and the content of the first cell that matches a pattern; empty if none does."""
    first = pc.index(pc.match_substring_regex(cells, pattern), True).as_py()
    return "" if first < 0 else f"{place(first)}, column {name}: {cells[first].as_py()}"


def without_spaces(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cells with the minus of typography as a hyphen, and numbers without blanks between their thousands."""
    cells = pc.replace_substring(cells, "\u2212", "-")
    spaced = pc.match_substring_regex(cells, SPACED)
    if not pc.any(spaced).as_py():
        return cells
    return pc.if_else(spaced, pc.replace_substring_regex(cells, r"[^\d.,+-]", ""), cells)


def as_numbers(
    cells: pa.ChunkedArray, name: str, place: Callable[[int], str], where: str, decimal: Decimal
) -> np.ndarray | None:
    """The numbers of a column; None for a column of texts; UserError for a cell among numbers that is none."""
    if pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.uint8())
    if pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type) or pa.types.is_decimal(cells.type):
        small = pa.types.is_float32(cells.type) or pa.types.is_float16(cells.type)
        return finite(cells.cast(pa.float32() if small else pa.float64(), safe=False).to_numpy(), name, place, where)
    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        raise UserError(f"{where}: column {name} holds {cells.type}; leave it out by dataset.columns=[...]")
    fine = pc.and_(pc.match_substring_regex(cells, NUMBER[decimal]), pc.match_substring_regex(cells, r"\d"))
    share = pc.mean(fine.cast(pa.float64())).as_py()
    if share < MOSTLY:
        refuse_marked(cells, fine, name, place, where)
        return None
    if share < 1:
        wrong = pc.index(fine, False).as_py()
        raise UserError(f"{where}: {place(wrong)}, column {name}: {cells[wrong].as_py()!r} is no number; correct it")
    thousands, sign = (",", ".") if decimal == "point" else (".", ",")
    plain = pc.replace_substring(pc.replace_substring(cells, thousands, ""), sign, ".")
    return finite(pc.replace_substring(plain, "+", "").cast(pa.float64()).to_numpy(), name, place, where)


def refuse_marked(
    cells: pa.ChunkedArray, plain: pa.ChunkedArray, name: str, place: Callable[[int], str], where: str
) -> None:
    """Raise UserError for a column of percentages or of amounts of money, beside plain numbers or not."""
    marked = pc.match_substring_regex(cells, MARKED)
    if pc.any(marked).as_py() and pc.mean(pc.or_(marked, plain).cast(pa.float64())).as_py() >= MOSTLY:
        way = "remove the sign from all its cells, or leave the column out by dataset.columns=[...]"
        raise UserError(f"{where}: {cell(cells, MARKED, name, place)} has a sign beside the number; {way}")


def finite(values: np.ndarray, name: str, place: Callable[[int], str], where: str) -> np.ndarray:
    """The numbers of a column; UserError for one that is infinite."""
    if not (fine := np.isfinite(values)).all():
        wrong = int(np.argmin(fine))
        raise UserError(f"{where}: {place(wrong)}, column {name}: {values[wrong]} is not finite; correct it")
    return values
