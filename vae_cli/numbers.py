"""Numbers in a user's own file: .npy, or text with a row a line."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vae_cli.errors import UserError


def read_numbers(key: str, path: str) -> NDArray[np.float64]:
    """Finite numbers, as many axes as the file has; UserError names the key and the file otherwise."""
    file = Path(path).expanduser()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's, on an empty file
            values = np.load(file, allow_pickle=False) if file.suffix == ".npy" else np.loadtxt(file)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{key}={path}: not readable: {' '.join(str(error).split())}") from error
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise UserError(f"{key}={path}: expected finite numbers; it holds {values.dtype}, {values.shape}")
    return values.astype(np.float64)
