"""Arrays in files, and the datasets that read them."""

import numpy as np

from vae_cli.datasets import Array


def array_data(path, domain="real", **keys) -> Array:
    defaults = {"batch_size": 4, "val_size": 2, "val_seed": 0, "binarize": "none", "test_fraction": 0.2, "test_seed": 0}
    return Array(path=str(path), domain=domain, **{**defaults, **keys})


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"
