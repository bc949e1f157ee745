"""The cluster of every example of a run's data set, as arrays and as a table."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vae_cli.datasets import Data
from vae_cli.datasets.split import SplitName
from vae_cli.distributions.mixtures import is_mixture, log_responsibilities
from vae_cli.models.model import LatentVariableModel
from vae_cli.runs.atomic_files import write_atomically, write_text_atomically

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Assignments:
    """Position, label and q(c|x) of N examples, for K components.

    Args:
        split: name of the split, (N,)
        row: position in the array, file or canonical split of the data, (N,); validation examples have positions in
            the training split
        path: file of each example, (N,); None for data without files
        label: (N,), or None
        responsibilities: q(c|x), (N, K)
        class_names: names of the labels, or None
    """

    split: NDArray[np.str_]
    row: NDArray[np.int64]
    path: NDArray[np.str_] | None
    label: NDArray[np.int64] | None
    responsibilities: NDArray[np.float32]
    class_names: tuple[str, ...] | None = None

    @classmethod
    @torch.no_grad()
    def of(cls, model: LatentVariableModel, data: Data, device: torch.device, batch_size: int) -> Assignments:
        """The assignments of all splits by a model whose prior is a mixture."""
        prior = model.prior()
        assert is_mixture(prior)
        parts, names = [], []
        for name in SPLITS:
            loader = data.loader(name, batch_size=batch_size, seed=0, shuffle=False, device=device)
            parts += [log_responsibilities(prior, model.encode(batch)).exp().cpu() for batch in loader]
            names += [name] * len(loader.split)
        splits = [getattr(data, name) for name in SPLITS]
        labels = [split.y for split in splits]
        known = all(y is not None for y in labels)
        return cls(
            np.array(names),
            torch.cat([split.rows for split in splits]).numpy(),
            np.array([file for split in splits for file in split.files]) if splits[0].files is not None else None,
            torch.cat(labels).numpy() if known else None,
            torch.cat(parts).numpy(),
            data.class_names,
        )

    @property
    def cluster(self) -> NDArray[np.int64]:
        """The most responsible component of each example, (N,)."""
        return self.responsibilities.argmax(1)

    def write(self, stem: Path) -> list[Path]:
        """Write STEM.npz with the arrays and STEM.csv with a line for each example, with the names of labels."""
        named = {"split": self.split, "row": self.row, "path": self.path, "cluster": self.cluster, "label": self.label}
        arrays: dict[str, Any] = {name: values for name, values in named.items() if values is not None}
        columns = list(arrays)
        rows = [self._names(arrays[name]) if name == "label" else arrays[name] for name in columns]
        arrays["responsibilities"] = self.responsibilities
        if self.class_names:
            arrays["class_names"] = np.array(self.class_names)
        files = [stem.with_name(f"{stem.name}.{kind}") for kind in ("npz", "csv")]
        write_atomically(files[0], lambda file: np.savez_compressed(file, **arrays))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*columns, *(f"responsibility_{c}" for c in range(self.responsibilities.shape[1]))])
        shares = self.responsibilities.astype(np.float64).round(6).tolist()
        writer.writerows([*row, *share] for *row, share in zip(*rows, shares, strict=True))
        write_text_atomically(files[1], text.getvalue())
        return files

    def _names(self, labels: NDArray[np.int64]) -> NDArray[Any]:
        return np.array(self.class_names)[labels] if self.class_names else labels
