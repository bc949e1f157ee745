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
            binary = file.suffix == ".npy"
            values = np.load(file, allow_pickle=False) if binary else np.loadtxt(file, encoding="utf-8-sig")
    except Exception as error:  # a damaged header ends in a tokenizer's error, others in almost any
        raise UserError(f"{key}={path}: not readable: {_reason(error, file)}") from error
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise UserError(f"{key}={path}: expected finite numbers; it holds {values.dtype}, {values.shape}")
    return values.astype(np.float64)


def _reason(error: Exception, file: Path) -> str:
    """What is wrong with a file, in one line; numpy advises to unpickle what it cannot read."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError):
        return text
    if file.suffix == ".npy":
        return "no array of numbers (.npy)" if "pickle" in text else text
    return f"{text}; it needs a row a line, numbers separated by blanks (numpy.savetxt writes so), or an .npy file"
