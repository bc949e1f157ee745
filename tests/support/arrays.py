"""Arrays in files, and the datasets that read them."""

import numpy as np

from vae_cli.datasets import Npz


def npz(path, domain="real", **keys) -> Npz:
    defaults = {"batch_size": 4, "val_size": 2, "val_seed": 0, "binarize": "none", "test_fraction": 0.2, "test_seed": 0}
    return Npz(path=str(path), domain=domain, **{**defaults, **keys})


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"
