"""Runs on a table of real numbers."""

from pathlib import Path

import numpy as np

from tests.support.configs import composed
from tests.support.training import train

TINY = ("trainer.max_epochs=2", "evaluate.samples=5", "dataset.batch_size=32", "dataset=array")


def run(folder: Path, x: np.ndarray, *overrides: str):
    """The numbers and the data of a training on this table."""
    folder.mkdir()
    np.savez(folder / "x.npz", x=x)
    config = composed(*TINY, f"dataset.path={folder}/x.npz", *overrides)
    return train(config, folder), config.dataset.build().load()
