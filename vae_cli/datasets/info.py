"""The facts of a data set that a checkpoint keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vae_cli.datasets.data import Data
from vae_cli.distributions.standardisation import Standardisation
from vae_cli.types import Domain


@dataclass(frozen=True)
class DatasetInfo:
    """The facts of a data set that a model needs; they are kept in its checkpoint.

    Attributes:
        examples: of the training split
        standardisation: mean and scale of standardised data
        class_names: of labels that have names
    """

    name: str
    event_shape: tuple[int, ...]
    domain: Domain
    sha256: str
    examples: int = 0
    standardisation: Standardisation | None = None
    class_names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, data: Data) -> DatasetInfo:
        """The facts of `data`."""
        return cls(
            name=data.name,
            event_shape=data.event_shape,
            domain=data.domain,
            sha256=data.sha256,
            examples=len(data.train),
            standardisation=data.standardisation,
            class_names=data.class_names,
        )

    @classmethod
    def read(cls, kept: dict[str, Any]) -> DatasetInfo:
        """The facts in a checkpoint, which are plain containers and tensors."""
        statistics, names = kept.get("standardisation"), kept.get("class_names")
        units = None if statistics is None else Standardisation(statistics["mean"], statistics["scale"])
        changes = {"standardisation": units, "class_names": None if names is None else tuple(names)}
        return cls(**{**kept, "event_shape": tuple(kept["event_shape"]), **changes})
