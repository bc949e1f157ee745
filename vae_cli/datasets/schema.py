"""The schema of a data set: the facts of the training data by which new data are read in the same way."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import torch
from omegaconf import OmegaConf
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from vae_cli.datasets.columns import Column
from vae_cli.datasets.data import Data
from vae_cli.datasets.info import DatasetInfo
from vae_cli.datasets.noise import seed_of
from vae_cli.errors import UserError, first_line
from vae_cli.runs import checkpoints
from vae_cli.runs.atomic_files import write_json
from vae_cli.runs.folder import RunFolder
from vae_cli.types import Background, Binarize, Domain, Shape


@dataclass(frozen=True)
class Schema:
    """The facts of the training data; `schema.json` of the run.

    Args:
        name: of the data set
        event_shape: of one x
        domain: the support of x as the model sees it
        binarize: static or threshold if images in [0, 1] become binary, else none
        seed: of the static binarisation
        low, high: least and largest value in the training data, by entry of a vector, else of all entries; () if the
            domain is not real, or unknown
        mean, scale: of the standardisation, by entry, flat; () without one
        class_names: names of the labels; () where labels are numbers
        background: colour behind transparent pixels of images
        columns: of a table, in its order; those that are no part of x too
        decimal: decimal sign of a table's text
    """

    name: str
    event_shape: Shape
    domain: Domain
    binarize: Binarize = "none"
    seed: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    class_names: tuple[str, ...] = ()
    background: Background = "white"
    columns: tuple[Column, ...] = ()
    decimal: Literal["point", "comma"] = "point"

    @classmethod
    def of(cls, data: Data) -> Schema:
        """The schema of a data set, from its training split."""
        low, high = _ranges(data)
        schema = replace(cls.of_facts(DatasetInfo.of(data)), low=low, high=high)
        facts = ("binarize", "seed", "background", "columns", "decimal")
        return replace(schema, **{name: getattr(data, name) for name in facts})

    @classmethod
    def of_facts(cls, facts: DatasetInfo) -> Schema:
        """The schema as far as a checkpoint tells it."""
        units = facts.standardisation
        return cls(
            facts.name,
            facts.event_shape,
            facts.domain,
            mean=() if units is None else tuple(units.mean.flatten().tolist()),
            scale=() if units is None else tuple(units.scale.flatten().tolist()),
            class_names=facts.class_names or (),
        )

    @classmethod
    def read(cls, run: RunFolder) -> Schema:
        """The schema of a run; for a run of format 1, which has no schema.json, that of its checkpoint."""
        file = run.schema_file
        if not file.is_file():
            facts = DatasetInfo.read(checkpoints.load(run.checkpoint("best"))["data"])
            keys = ("binarize", "val_seed", "background")
            saved = [OmegaConf.select(run.config(), f"dataset.{key}") for key in keys]
            binarize: Binarize = "static" if saved[0] == "dynamic" else saved[0] or "none"
            return replace(cls.of_facts(facts), binarize=binarize, seed=saved[1] or 0, background=saved[2] or "white")
        try:
            return TypeAdapter(cls).validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise UserError(f"{file}: not readable ({first_line(error)}); restore it, or train again") from error

    def write(self, run: RunFolder) -> None:
        """Keep the schema in the folder of a run."""
        write_json(run.schema_file, asdict(self))

    @property
    def entries(self) -> tuple[str, ...]:
        """The names of the entries of x; () for x that is no table."""
        return tuple(column.name for column in self.columns if column.used)

    @property
    def read_domain(self) -> Domain:
        """The domain of new data before binarisation."""
        return self.domain if self.binarize == "none" else "unit"

    def binarised(self, x: np.ndarray) -> np.ndarray:
        """x (N, *event) in [0, 1] as 0 and 1; each example is drawn by a seed of its own values, whatever its place."""
        if self.binarize == "none":
            return x
        if self.binarize == "threshold":
            return (x > 0.5).astype(np.float32)
        drawn = np.empty_like(x)
        for number, one in enumerate(x):
            generator = np.random.default_rng(seed_of(self.seed, one.tobytes()))
            drawn[number] = generator.random(one.shape, np.float32) < one
        return drawn

    def outside(self, x: np.ndarray) -> str:
        """In words, an entry of x (N, *event) beyond the range of the training data; empty if there is none."""
        if not self.low or not len(x):
            return ""
        low, high = np.asarray(self.low), np.asarray(self.high)
        beyond = np.argwhere((x < low) | (x > high) if x.ndim == 2 else (x < low[0]) | (x > high[0]))
        if not len(beyond):
            return ""
        index = tuple(beyond[0])
        entry = index[1] if x.ndim == 2 else 0
        place = f"column {self.entries[entry] if self.columns else entry}" if x.ndim == 2 else "an entry"
        return f"{place} reaches {x[index]:.4g}; in the training data it lies in [{low[entry]:.4g}, {high[entry]:.4g}]"


def _ranges(data: Data) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The least and the largest value of each column, or of all entries of other shapes."""
    x = data.train.x
    if data.domain != "real" or not isinstance(x, Tensor):
        return (), ()
    low, high = torch.aminmax(x, dim=0) if x.dim() == 2 else torch.aminmax(x)
    return tuple(low.flatten().tolist()), tuple(high.flatten().tolist())
