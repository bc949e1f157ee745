"""`vae-train data=FILE`: the data set, the support and the likelihood that the file itself shows."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from vae_cli.config.compose import COMMAND_LINE
from vae_cli.errors import ConfigError
from vae_cli.runs.overrides import quote
from vae_cli.types import table_ending

HUGGINGFACE = ("dataset_dict.json", "dataset_info.json")
"""Files of which a folder of Hugging Face has one."""
LIKELIHOODS = {
    "binary": "bernoulli",
    "levels": "discretised_logistic",
    "unit": "continuous_bernoulli",
    "real": "gaussian",
}
SAMPLE = 1_000_000
"""Most values of an array that are looked at."""


def expanded(lines: Sequence[str]) -> tuple[list[str], str]:
    """The overrides with `data=FILE` replaced by those that it means, and a sentence about them; a key given stays."""
    given = [line for line in lines if line.lstrip("+").partition("=")[0] == "data"]
    if not given:
        return list(lines), ""
    others = [line for line in lines if line not in given]
    keys = [line.lstrip("+").partition("=")[0] for line in others]
    file = given[-1].partition("=")[2].strip("'\"")
    if taken := next((key for key in ("dataset", "dataset.path") if key in keys), None):
        raise ConfigError(f"data={file}: not together with {taken} ({COMMAND_LINE}); use dataset.path={file}")
    if not file:
        raise ConfigError(f"data=: needs a value ({COMMAND_LINE}); set data=PLACE, or leave data out", key="data")
    x = next((line.partition("=")[2].strip("'\"") for line in others if line.startswith("dataset.x=")), "x")
    chosen = choice(Path(file).expanduser(), x)
    added = [line for line in chosen if line.partition("=")[0] not in keys]
    return [*added, f"dataset.path={file}", *others], f"data={file}: {' '.join(added)}; set these keys to choose others"


def choice(file: Path, x: str = "x") -> list[str]:
    """Data set, domain and likelihood for a file or a folder.

    Args:
        x: name of the array of examples, where the file has it
    """
    if not file.exists():
        raise ConfigError(f"data={file}: there is no such file or folder ({COMMAND_LINE}); set data=PLACE", key="data")
    if table_ending(file):
        return ["dataset=table", "likelihood=gaussian"]
    if file.is_dir() and file.suffix.lower() != ".zarr":
        if any((file / name).exists() for name in HUGGINGFACE):
            return ["dataset=huggingface"]
        return ["dataset=image_folder", "likelihood=discretised_logistic"]
    found, rows = sample(file, x)
    domain = domain_of(rows)
    named = [] if found == "x" else [f"dataset.x={quote(found)}"]
    return ["dataset=array", *named, f"dataset.domain={domain}", f"likelihood={LIKELIHOODS[domain]}"]


def sample(file: Path, name: str) -> tuple[str, np.ndarray]:
    """The name of the array of examples in a file, and rows of it at equal distances."""
    from vae_cli.datasets.array_files import examples_of, open_arrays, shaped_as_examples  # imports torch

    arrays = open_arrays(file, "data")
    split = f"{name}_train" in arrays
    found = name if split else examples_of(arrays, name)
    if found is None:
        way = shaped_as_examples(arrays) or "save the examples, (N, D) or (N, C, H, W), as x"
        raise ConfigError(f"data={file}: holds {', '.join(arrays) or 'no array of numbers'}; {way}")
    x = arrays[f"{found}_train" if split else found]
    if not x.shape:
        return found, np.empty(0)  # which the data set refuses
    count = max(1, min(x.shape[0], 64, SAMPLE // max(1, prod(x.shape[1:]))))
    starts = np.linspace(0, max(0, x.shape[0] - 1), count).astype(int)
    return found, np.concatenate([np.asarray(x[start : start + 1]) for start in starts])


def domain_of(x: np.ndarray) -> str:
    """The support of x: bytes and fractions of images are levels or lie in [0, 1], a table is real unless binary."""
    image = x.ndim > 2
    if x.dtype.kind not in "buif" or not x.size:
        return "real"
    top = x.max()
    if x.dtype.kind == "b" or (((x == 0) | (x == top)).all() and (top == 1 or (image and top == 255))):
        return "binary"
    if not image or x.min() < 0 or top > (255 if x.dtype == np.uint8 else 1):
        return "real"
    if x.dtype == np.uint8:
        return "levels"
    return "levels" if np.allclose(255 * x, np.rint(255 * x), atol=0.01) else "unit"
