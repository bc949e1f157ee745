"""Types of configuration values: ranges are part of the type, so that a config is checked without importing torch."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import StringConstraints

T = TypeVar("T")

PositiveInt = Annotated[int, Gt(0)]
NonNegativeInt = Annotated[int, Ge(0)]
SeveralInt = Annotated[int, Ge(2)]
Epochs = Annotated[int, Gt(0), Le(10**6)]
Samples = Annotated[int, Gt(0), Le(10**7)]
"""More of either is a slip of the hand, and would never end."""
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
PositiveFraction = Annotated[float, Gt(0), Le(1)]
OpenFraction = Annotated[float, Gt(0), Lt(1)]
HeldOut = NonNegativeInt | OpenFraction
"""A number of examples, or a fraction of them."""

NonEmpty = Annotated[list[T], MinLen(1)]
"""A list of at least one value."""

Seed = Annotated[int, Ge(0), Lt(2**32)]

RunName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)]
"""Name of a run, which is part of the name of its folder."""

Shape = tuple[int, ...]
"""Event shape without batch dimensions: (C, H, W) for images, (D,) for vectors."""

Domain = Literal["binary", "unit", "levels", "real"]
"""Support of each entry of x: {0, 1}; the interval [0, 1]; k/255 with k = 0..255; the real line."""

EventKind = Literal["image", "vector"]
"""Shape of an event: (C, H, W) or (D,)."""

Binarize = Literal["none", "dynamic", "static", "threshold"]
"""Bernoulli draw anew at each visit; one seeded draw; x > 1/2; or x as it is."""

Background = Literal["white", "black"]
"""Colour behind transparent pixels."""

ColumnKind = Literal["real", "positive", "count", "binary", "categorical", "ordinal", "constant", "identifier"]
"""Type of a column of a table; a constant and an identifier are left out."""

FoundKind = Literal[ColumnKind, "date", "label"]
"""Types that a column may turn out to have, beside those that can be stated."""

TEXTS = (".csv", ".tsv", ".txt")
"""Endings of tables as texts, which may be compressed (.csv.gz)."""
TABLES = (*TEXTS, ".parquet", ".feather", ".arrow")
"""Endings of files of tables."""


def table_ending(path: Path) -> str | None:
    """The ending of a file of a table in lower case, without the .gz of a compressed text; None for other files."""
    ending, before = path.suffix.lower(), Path(path.stem).suffix.lower()
    if ending == ".gz" and before in TEXTS:
        return before
    return ending if ending in TABLES else None


Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "softplus"]
