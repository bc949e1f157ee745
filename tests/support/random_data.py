"""Small data of many kinds that a drawn configuration is trained on: arrays, folders of images, synthetic data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Kind:
    """A kind of data: the option of the group dataset, keys that belong to it, and how many examples it has."""

    dataset: str
    size: int
    keys: dict[str, object]


def synthetic() -> dict[str, Kind]:
    """Data that need no file."""
    some = {"dataset.train_size": 90, "dataset.test_size": 30}
    few = {"dataset.train_size": 12, "dataset.test_size": 2}
    return {
        "digits": Kind("digits", 1437, {}),
        "digits, few": Kind("digits", 40, {"dataset.test_fraction": 0.97}),
        "linear": Kind("linear_gaussian", 90, some),
        "linear, few": Kind("linear_gaussian", 12, few),
        "mixture": Kind("gaussian_mixture", 90, some),
        "two points": Kind("two_points", 90, some),
        "shapes": Kind("shapes", 40, {"dataset.train_size": 40, "dataset.test_size": 20}),
    }


def in_files(folder: Path) -> dict[str, Kind]:
    """Arrays, tables and folders of images, written once into `folder`."""
    kinds = {}
    for name, (domain, arrays) in _arrays().items():
        path = folder / f"{name}.npz"
        np.savez(path, allow_pickle=False, **arrays)
        size = len(arrays.get("x", arrays.get("x_train", ())))
        kinds[name] = Kind("array", size, {"dataset.path": str(path), "dataset.domain": domain})
    for name, (text, keys) in _tables().items():
        path = folder / f"{name}.csv"
        path.write_text(text, encoding="utf-8")
        kinds[name] = Kind("table", text.count("\n") - 1, {"dataset.path": str(path)} | keys)
    for name, write in _FOLDERS.items():
        path = folder / name
        size = write(path)
        kinds[name] = Kind("image_folder", size, {"dataset.path": str(path), "dataset.workers": 0})
    by_name = {"dataset.name": "ImageFolder", "dataset.root": str(folder / "rgb")}
    return kinds | {"torchvision": Kind("torchvision", 50, by_name)}


def _arrays() -> dict[str, tuple[str, Arrays]]:
    """Each file's domain and arrays."""
    draw = np.random.default_rng(0)
    units = np.stack(
        [
            draw.normal(40, 12, 150),
            draw.lognormal(10, 1, 150),
            draw.integers(0, 2, 150),
            draw.normal(25, 4, 150),
            draw.normal(0, 1e-3, 150),
            draw.uniform(1e6, 2e6, 150),
        ],
        axis=1,
    )
    constant = units.copy()
    constant[:, 3] = 7.0
    grey = draw.integers(0, 256, (80, 1, 8, 8), dtype=np.uint8)
    colour = draw.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)
    normal = draw.normal(size=(90, 5))
    classes = draw.integers(0, 3, 90)
    return {
        "units": ("real", {"x": units}),
        "constant": ("real", {"x": constant}),
        "normal": ("real", {"x": normal + classes[:, None], "y": classes}),
        "far": ("real", {"x": normal + 1e4}),
        "column": ("real", {"x": normal[:, :1]}),
        "counts": ("real", {"x": draw.poisson(6.0, (90, 4))}),
        "real_images": ("real", {"x": draw.normal(size=(60, 1, 8, 8)).astype(np.float32)}),
        "bytes": ("levels", {"x": grey, "y": np.arange(80) % 4}),
        "bytes_real": ("real", {"x": grey}),
        "colour": ("levels", {"x_train": colour, "x_test": colour[:9]}),
        "levels16": ("levels", {"x": (grey / 255).astype(np.float16)}),
        "unit": ("unit", {"x": draw.random((70, 6, 6)).astype(np.float32)}),
        "unit_table": ("unit", {"x": draw.random((70, 7))}),
        "odd_images": ("unit", {"x": draw.random((50, 3, 5, 9)).astype(np.float32)}),
        "binary": ("binary", {"x": draw.integers(0, 2, (80, 1, 8, 8), dtype=np.uint8)}),
        "binary_table": ("binary", {"x": draw.random((80, 9)) > 0.7}),
        "tiny": ("real", {"x_train": normal[:6], "x_test": normal[:1]}),
        "tiny_labels": (
            "real",
            {"x_train": normal[:9], "y_train": classes[:9], "x_test": normal[:3], "y_test": classes[:3]},
        ),
        "own_val": ("real", {"x_train": normal[:60], "x_val": normal[60:75], "x_test": normal[75:]}),
    }  # fmt: skip


def _tables() -> dict[str, tuple[str, dict[str, object]]]:
    """Each table's text, and keys that belong to it."""
    draw = np.random.default_rng(0)
    rows = list(zip(draw.normal(40, 12, 90), draw.lognormal(3, 1, 90), draw.poisson(6.0, 90), strict=True))
    plain = "\n".join(f"{age:.3f},{income:.4f},{count},{'mn'[count % 2]}" for age, income, count in rows)
    commas = "\n".join(f"{age:.2f};{count}".replace(".", ",") for age, _, count in rows)
    bits = "\n".join(",".join(map(str, row)) for row in draw.integers(0, 2, (60, 5)))
    return {
        "people": (f"age,income,visits,sex\n{plain}\n", {"dataset.columns": ["age", "income", "visits"]}),
        "labelled": (f"age,income,visits,sex\n{plain}\n", {"dataset.y": "sex"}),
        "typed": (f"age,income,visits,sex\n{plain}\n", {"dataset.y": "sex", "dataset.types": {"count": ["visits"]}}),
        "decimal_commas": (f"größe;anzahl\n{commas}\n", {}),
        "bits": (
            f"a,b,c,d,e\n{bits}\n",
            {"dataset.domain": "binary", "dataset.types": dict.fromkeys("abcde", "real")},
        ),
    }


def _images(folder: Path, count: int, mode: str, classes: int = 0, seed: int = 0) -> int:
    """Random PNG files of one mode, in the subfolders of as many classes."""
    draw = np.random.default_rng(seed)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    for number in range(count):
        place = folder / f"class {number % classes}" if classes else folder
        place.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (9, 12, *channels), dtype=np.uint8)
        Image.fromarray(pixels, mode).save(place / f"{number}.png")
    return count


def _splits(folder: Path, names: tuple[str, ...]) -> int:
    """Folders of splits, with classes."""
    for seed, name in enumerate(names):
        _images(folder / name, 30 if name == "train" else 8, "RGB", classes=2, seed=seed)
    return 30


_FOLDERS: dict[str, Callable[[Path], int]] = {
    "grey": lambda folder: _images(folder, 50, "L"),
    "rgb": lambda folder: _images(folder, 50, "RGB", classes=3),
    "transparent": lambda folder: _images(folder, 30, "RGBA"),
    "few_images": lambda folder: _images(folder, 5, "RGB"),
    "splits": lambda folder: _splits(folder, ("train", "test")),
    "own_val_images": lambda folder: _splits(folder, ("train", "val", "test")),
}


def drawn_keys(random: Random, kind: Kind) -> dict[str, object]:
    """Values for keys that data of any kind have; a configuration takes those that its data set has."""
    size = kind.size
    sizes = [0, 1, 2, max(1, size // 10), max(1, size // 5), max(1, size // 5)]
    keys = {
        "dataset.batch_size": random.choice([1, 2, 3, 8, 8, 16, 16, 1000]),
        "dataset.val_size": random.choice(sizes),
        "dataset.val_seed": random.randrange(9),
        "dataset.data_seed": random.randrange(9),
        "dataset.test_seed": random.randrange(9),
        "dataset.subset": random.choice([None, None, None, 1, 2, max(1, size // 3), size]),
        "dataset.binarize": random.choice(["none", "none", "none", "dynamic", "static", "threshold"]),
        "dataset.test_fraction": round(random.uniform(0.02, 0.9), 3),
        "dataset.dim": random.randint(1, 5),
        "dataset.latent_dim": random.randint(1, 3),
        "dataset.components": random.randint(1, 4),
        "dataset.size": random.choice([4, 8, 9, 16]),
        "dataset.channels": random.choice(["grey", "rgb"]),
        "dataset.memory_gb": random.choice([2.0, 2.0, 1e-7]),
        "dataset.domain": random.choice(["real", "unit", "levels", "binary"]),
        "dataset.standardise": random.choice(["auto", True, False]),
        "dataset.flip": random.random() < 0.5,
        "dataset.crop": random.randint(0, 2),
        "dataset.cache": random.random() < 0.5,
        "dataset.decimal": random.choice(["auto", "point", "comma"]),
    }
    often = ("batch_size", "val_size", "channels", "size")
    drawn = {key: value for key, value in keys.items() if key.endswith(often) or random.random() < 0.25}
    if random.random() < 0.93:
        drawn.pop("dataset.domain", None)
    return drawn | {key: value for key, value in kind.keys.items() if key != "dataset.domain" or key not in drawn}
