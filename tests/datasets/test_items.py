"""Data sets that come item by item: what an item may be, and what is refused."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.configs import composed, unchecked
from vae_cli.config.check import check
from vae_cli.datasets import HuggingFace, TorchDataset
from vae_cli.errors import ConfigError, UserError
from vae_cli.training.loading import load_data

COMMON = {
    "batch_size": 8, "subset": None, "val_size": 2, "val_seed": 0, "binarize": "none", "test_fraction": 0.2,
    "test_seed": 0, "x": "x", "y": "y",
}  # fmt: skip
X = np.random.default_rng(0).integers(0, 256, (10, 5, 4), dtype=np.uint8)


def dataset(train: Any, **changes: Any) -> TorchDataset:
    return TorchDataset(**{**COMMON, "domain": "levels", "train": train, "val": None, "test": None, **changes})


@pytest.mark.parametrize(
    "items",
    [
        [(x, number % 3) for number, x in enumerate(X)],
        [(torch.from_numpy(x), torch.tensor(number % 3)) for number, x in enumerate(X)],
        [(Image.fromarray(x), number % 3) for number, x in enumerate(X)],
        [{"x": x, "y": number % 3} for number, x in enumerate(X)],
    ],
    ids=["arrays", "tensors", "images", "mappings"],
)
def test_every_kind_of_item_gives_the_same_examples(items: list[Any]) -> None:
    source = dataset(items).read()
    assert isinstance(source.train.x, torch.Tensor) and source.train.y is not None
    assert torch.equal(source.train.x, torch.from_numpy(X[:, None]))
    assert source.train.y.tolist() == [number % 3 for number in range(10)]


def test_items_without_labels_and_with_further_splits() -> None:
    data = dataset(list(X), val=list(X[:3]), test=list(X[:4])).load()
    assert [len(split) for split in (data.train, data.val, data.test)] == [10, 3, 4]
    assert data.train.y is None


def test_colour_images_have_their_channels_first() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    x = dataset([Image.fromarray(one) for one in pixels]).read().train.x
    assert isinstance(x, torch.Tensor)
    assert torch.equal(x, torch.from_numpy(pixels.transpose(0, 3, 1, 2)))


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([X[0], X[1, :2]], r"dataset.train\[1\]: x has shape \(2, 4\)"),
        ([], "dataset.train: no items"),
        (iter(X), "dataset.train: .* has no __getitem__"),
        ([{"image": X[0]}], r"dataset.train\[0\]: no key x, it has image; set dataset.x=KEY"),
        ([(x, -1) for x in X], "dataset.train: row 0 holds -1"),
        ([(x, "cat") for x in X], "labels are whole numbers"),
    ],
)
def test_other_items_are_refused(items: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataset(items).read()


class Numbers:
    """A stand-in for a data set of Hugging Face: rows are mappings."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, number: int) -> dict[str, Any]:
        return {"pixel": [number / 10, 1.0], "kind": number % 2}


@pytest.mark.parametrize("splits", [{"train": 10, "validation": 3, "test": 4}, {"train": 10}, None], ids=str)
def test_a_folder_of_hugging_face(
    splits: dict[str, int] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`load_from_disk` of the package gives one split, or a mapping of splits."""
    module = ModuleType("datasets")
    found = Numbers(10) if splits is None else {name: Numbers(size) for name, size in splits.items()}
    monkeypatch.setattr(module, "load_from_disk", lambda path: found, raising=False)
    monkeypatch.setitem(sys.modules, "datasets", module)
    config = composed("dataset=huggingface", f"dataset.path={tmp_path}", "dataset.x=pixel", "dataset.y=kind")
    data = load_data(config)
    sizes = [len(split) for split in (data.train, data.val, data.test)]
    assert sizes == ([10, 3, 4] if splits and "test" in splits else [7, 1, 2])
    assert data.domain == "real" and data.event_shape == (2,) and data.classes == 2


def test_a_missing_package_or_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = HuggingFace(**COMMON, domain="real", path=str(tmp_path / "none"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match="pip install datasets"):
        own.read()


OURS = """
class Points:
    def __init__(self, size, noise: float = 0.1): ...

class Watch:
    def __init__(self, least: float = 0.1, *, epochs: int): ...
"""


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["dataset=torch"], "dataset.train: needs a value"),
        (["dataset=torch", "dataset.train._target_=ours.Points"], "dataset.train.size: missing"),
        (
            ["dataset=torch", "dataset.train={_target_: ours.Points, size: 3}", "dataset.train.noise=much"],
            "dataset.train.noise=much: expected a number",
        ),
        (["callbacks.watch._target_=ours.Watch", "callbacks.watch.leest=1"], "nearest: callbacks.watch.least"),
        (
            ["callbacks.watch._target_=ours.Watch", "callbacks.watch.least=few", "callbacks.watch.epochs=1"],
            "least=few: exp",
        ),
        (["callbacks.watch._target_=ours.Watch"], "callbacks.watch.epochs: missing"),
        (["callbacks.watch=3"], "callbacks.watch=3: names no class|callbacks.watch: names no class"),
        (["evaluate.metrics.mine._target_=ours.Watch"], "expected a Metric"),
        (
            ["callbacks.watch._target_=other.Watch"],
            "torch.nn, optuna.pruners, ours may be named",
        ),
        (["callbacks.watch._target_=ours.Wotch"], "nearest: ours.Watch"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_keys_of_a_users_own_class_are_checked(
    lines: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ours.py").write_text(OURS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("VAE_PLUGINS", "ours")
    with pytest.raises(ConfigError, match=message):
        check(unchecked(*lines))
