"""Numbers from a user's file: .npy, or text with one row per line."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vae_cli.errors import UserError


def read_numbers(key: str, path: str) -> NDArray[np.float64]:
    """Finite numbers, with the axes of the file; else UserError with the key and the file."""
    file = Path(path).expanduser()
    if not file.is_file():
        problem = "is a folder; give one file" if file.is_dir() else "there is no such file"
        raise UserError(f"{key}={path}: {problem}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns on an empty file
            binary = file.suffix == ".npy"
            values = np.load(file, allow_pickle=False) if binary else np.loadtxt(file, encoding="utf-8-sig")
    except Exception as error:  # numpy raises almost any error on a damaged file
        raise UserError(f"{key}={path}: not readable: {_reason(error, file)}") from error
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise UserError(f"{key}={path}: expected finite numbers; it holds {values.dtype}, {values.shape}")
    return values.astype(np.float64)


def _reason(error: Exception, file: Path) -> str:
    """The fault of a file in one line; numpy's own message advises pickle."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError):
        return text
    if file.suffix == ".npy":
        return "no array of numbers (.npy)" if "pickle" in text else text
    return f"{text}; expected one row per line, numbers separated by blanks (as numpy.savetxt writes), or an .npy file"
