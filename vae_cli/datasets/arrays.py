"""Users' arrays as examples: shape and values, checked and converted, for files and for the Python interface."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.errors import UserError, first_line
from vae_cli.types import Domain, Shape

CHANNELS = (1, 3)
MOST_CHANNELS = 4  # of an image whose channels may be last: grey, grey and alpha, RGB, RGBA
ELSE = "; use dataset.domain=real dataset.binarize=none likelihood=gaussian for other numbers"
ALIKE = "; convert it as the training data"
VALUES: dict[Domain, str] = {
    "binary": "0 or 1",
    "levels": "k/255 with a whole k",
    "unit": "in [0, 1]",
    "real": "finite",
}
"""The values of each domain in words."""
NO_LEVELS = "bytes of 0 and 1, which are no grey levels k/255"
LEVEL_TOLERANCE = (
    0.01  # of a level: the error of k/255 rounded to a few decimals; `tolerance` adds the error of the type
)


def numbers(values: ArrayLike | Tensor, where: str) -> np.ndarray:
    """An array of real numbers; UserError for text, objects, complex numbers and rows of different lengths."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise UserError(f"{where}: no array: {first_line(error)}") from error
    if array.dtype.kind not in "buif":
        raise UserError(f"{where}: numbers are needed, not {array.dtype if array.shape else type(values).__name__}")
    return array


def events(array: np.ndarray, domain: Domain, where: str, dtype: type[np.floating] = np.float32) -> Tensor:
    """The examples in an array of a file, (N, *event), see `stored`; UserError names the shape or the row at fault."""
    array = numbers(array, where)
    return stored(array.reshape(-1, *event_shape(array.shape, where)), domain, where, dtype, ELSE)


def event_shape(shape: Shape, where: str) -> Shape:
    """The shape of one x in an array of a file, which may lack the channel; UserError for shapes that have no use."""
    if len(shape) not in (2, 3, 4) or 0 in shape:
        raise UserError(f"{where}: shape {shape}; needs (N, D), (N, H, W) or (N, C, H, W), none of them 0")
    if channels_last(shape[1:]):
        raise UserError(f"{where}: {transpose(shape)}")
    return (1, *shape[1:]) if len(shape) == 3 else shape[1:]


def events_like(
    array: np.ndarray, shape: Shape, domain: Domain, where: str, dtype: type[np.floating] = np.float32
) -> Tensor:
    """Examples of the shape of a model's x; images of one channel may come without it, or flat."""
    height_width, entries = shape[1:], (int(np.prod(shape)),)
    one_channel = len(shape) == 3 and shape[0] == 1
    fitting = (shape, height_width, entries) if one_channel else (shape,)
    given = array.shape[1:]
    if given not in fitting or not len(array):
        last = transpose(array.shape) if len(shape) == 3 and given == (*height_width, shape[0]) else None
        takes = " or ".join(f"(N, {', '.join(map(str, form))})" for form in fitting)
        raise UserError(f"{where}: {last or f'shape {array.shape}'}; this model takes {takes}")
    x = array.reshape(len(array), *shape)
    if are_levels(x, domain) and x.max() == 1:
        raise UserError(f"{where} holds {NO_LEVELS}; give 255 * x for black and white, or x / 255")
    return stored(x, domain, where, dtype, ALIKE)


def channels_last(shape: Shape) -> bool:
    """True if an event (C, H, W) has a plausible number of channels at its end, and none at its start."""
    if len(shape) != 3:
        return False
    first, last = shape[0], shape[2]
    return (first not in CHANNELS and last in CHANNELS) or first > MOST_CHANNELS >= last


def transpose(shape: Shape) -> str:
    """The remedy for channels that are last."""
    return f"shape {shape} has channels last; transpose it to (N, C, H, W): x.transpose(0, 3, 1, 2) in numpy"


def stored(x: np.ndarray, domain: Domain, where: str, dtype: type[np.floating], way: str) -> Tensor:
    """Examples (N, *event) as a Split keeps them: uint8 or `dtype`; UserError names the row at fault and `way`."""
    if domain == "binary":
        white = 255 if x.dtype == np.uint8 and x.max() == 255 else 1
        check(x, (x == 0) | (x == white), f"0 or {white}, as in x > {white / 2:g}{way}", where)
        return torch.from_numpy((x == white).astype(np.uint8) * 255)
    if are_levels(x, domain):
        return torch.from_numpy(np.require(x, requirements=("C", "W")))
    with np.errstate(over="ignore"):
        values = x.astype(dtype)
    check(values, np.isfinite(values), VALUES["real"], where)
    if domain == "real":
        return torch.from_numpy(values)
    if x.dtype.kind in "ui":
        way = f"; dataset.domain=levels takes bytes, numpy.uint8, as k/255{way}"
    check(x, (values >= 0) & (values <= 1), f"{VALUES['unit']} (dataset.domain={domain}){way}", where)
    if domain == "unit":
        return torch.from_numpy(values)
    levels = np.rint(255 * values)
    fine = abs(255 * values - levels) <= tolerance(x.dtype)
    check(x, fine, f"{VALUES['levels']} (dataset.domain=levels){way}", where)
    return torch.from_numpy(levels.astype(np.uint8))


def are_levels(x: np.ndarray, domain: Domain) -> bool:
    """True if numbers (N, *event) are the k of k/255: bytes of images in [0, 1], and all bytes of levels."""
    return x.dtype == np.uint8 and (domain == "levels" or (domain == "unit" and x.ndim > 2))


def tolerance(dtype: np.dtype) -> float:
    """Largest distance of 255 x from a whole number if x is k/255 in this type."""
    return LEVEL_TOLERANCE if dtype.kind != "f" else max(LEVEL_TOLERANCE, 255 * float(np.finfo(dtype).eps) / 2)


def floats(array: np.ndarray) -> type[np.floating]:
    """float32 if it holds all numbers of this array's type exactly, else float64."""
    return np.float32 if np.can_cast(array.dtype, np.float32, "safe") else np.float64


def check(x: np.ndarray, fine: np.ndarray, wanted: str, where: str) -> None:
    """Raise UserError with the first row and value of x (N, *event) that is not fine."""
    if not fine.all():
        index = np.unravel_index(int(np.argmin(fine)), fine.shape)
        place = f"row {index[0]}, column {index[1]}" if x.ndim == 2 else f"row {index[0]}"
        raise UserError(f"{where}: {place} holds {x[index]}; every value must be {wanted}")
