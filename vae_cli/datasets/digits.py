"""The small digits that come with scikit-learn: nothing to download."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vae_cli.datasets.dataset import HeldOutDataset, Source
from vae_cli.datasets.split import Split
from vae_cli.types import Domain, EventKind


@dataclass(frozen=True, kw_only=True)
class Digits(HeldOutDataset):
    """1,797 digits, 1 x 8 x 8, with grey levels k/16."""

    name: ClassVar[str] = "digits"
    domain: ClassVar[Domain] = "unit"
    layout: ClassVar[EventKind] = "image"

    def read(self) -> Source:
        """All images; there is no canonical split."""
        rows = _rows()
        x = (rows[:, :-1] / 16).float().reshape(-1, 1, 8, 8)
        return Source(self.domain, Split(x, rows[:, -1].long()))


@cache
def _rows() -> Tensor:
    """The pixels and the label of each image, read once for all jobs in a process."""
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    return torch.from_numpy(np.loadtxt(str(file), delimiter=","))  # load_digits itself would import scikit-learn
