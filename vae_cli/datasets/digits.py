"""The small digits that come with scikit-learn: nothing to download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

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
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        x = torch.from_numpy(images / 16).float().reshape(-1, 1, 8, 8)
        return Source(self.domain, Split(x, torch.from_numpy(labels).long()))
