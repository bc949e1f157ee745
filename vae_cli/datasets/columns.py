"""Columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vae_cli.types import FoundKind


@dataclass(frozen=True)
class Column:
    """A column of a table.

    kind: of its values; a constant, an identifier and the label are no part of x
    levels: of a binary, categorical or ordinal column of text
    """

    name: str
    kind: FoundKind
    levels: tuple[str, ...] = ()

    @property
    def used(self) -> bool:
        """True if the column is an entry of x."""
        return self.kind not in ("constant", "identifier", "label")


def summary(columns: Sequence[Column], named: int = 6) -> list[str]:
    """In words, the columns of each type: `3 real (a, b, c)`."""
    kinds = dict.fromkeys(column.kind for column in columns)
    groups = {kind: [column.name for column in columns if column.kind == kind] for kind in kinds}
    return [
        f"{len(names)} {kind} ({', '.join(names[:named])}{', ...' if len(names) > named else ''})"
        for kind, names in groups.items()
    ]
