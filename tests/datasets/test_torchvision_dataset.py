"""Data sets of torchvision by name, on files in the form that torchvision reads."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.configs import composed
from vae_cli.datasets import Torchvision
from vae_cli.datasets.idx import render_idx
from vae_cli.errors import UserError

RNG = np.random.default_rng(0)


def by_name(name, root, **keys) -> Torchvision:
    defaults = {"batch_size": 4, "val_size": 2, "val_seed": 0, "binarize": "none", "test_fraction": 0.2, "test_seed": 0}
    return Torchvision(name=name, root=str(root), **{"size": None, "channels": "rgb", **defaults, **keys})


def test_a_class_with_train_and_test(tmp_path):
    arrays = {}
    (tmp_path / "MNIST/raw").mkdir(parents=True)
    for part, count in (("train", 12), ("t10k", 5)):
        arrays[part] = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        for kind, array in (("images-idx3", arrays[part]), ("labels-idx1", np.arange(count, dtype=np.uint8) % 10)):
            (tmp_path / f"MNIST/raw/{part}-{kind}-ubyte").write_bytes(render_idx(array))
    data = by_name("MNIST", tmp_path, channels="grey").load()
    assert (data.name, len(data.train), len(data.val)) == ("MNIST", 10, 2)
    np.testing.assert_array_equal(data.test.x[:, 0], arrays["t10k"])
    np.testing.assert_array_equal(data.train.x[:, 0], arrays["train"][data.train.rows])
    assert data.test.y.tolist() == [0, 1, 2, 3, 4] and data.class_names[0] == "0 - zero"
    with pytest.raises(UserError, match=r"dataset\.name=mnist: .* no such data set; use dataset\.name=MNIST"):
        by_name("mnist", tmp_path).load()


def test_a_class_with_three_splits_and_images_of_several_sizes(tmp_path):
    (tmp_path / "dtd/dtd/images/dots").mkdir(parents=True)
    (tmp_path / "dtd/dtd/labels").mkdir()
    for part, count in (("train", 6), ("val", 3), ("test", 2)):
        names = [f"dots/{part}{number}.png" for number in range(count)]
        for number, name in enumerate(names):
            pixels = RNG.integers(0, 256, (20 + number, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "dtd/dtd/images" / name)
        (tmp_path / f"dtd/dtd/labels/{part}1.txt").write_text("\n".join(names))
    data = by_name("DTD", tmp_path, size=16).load()
    assert [len(split) for split in (data.train, data.val, data.test)] == [6, 3, 2]
    assert data.event_shape == (3, 16, 16) and data.class_names == ("dots",)
    with pytest.raises(UserError, match=r"image 1 has shape \(3, 21, 24\), .*; set dataset\.size=PIXELS"):
        by_name("DTD", tmp_path).load()


@pytest.fixture
def attributes(monkeypatch):
    """A data set in place of CelebA with two attributes for each image, as CelebA has forty."""
    from torchvision.datasets import CelebA, VisionDataset

    assert {"split", "target_type", "download"} <= set(CelebA.__init__.__code__.co_varnames)

    class Attributes(VisionDataset):
        attr_names = ("hat", "smile", "")

        def __init__(self, root, split="train", target_type="attr", download=False):
            if split not in ("train", "valid", "test"):
                raise ValueError(split)
            if not download:
                raise RuntimeError("not found")
            super().__init__(root)

        def __len__(self):
            return 4

        def __getitem__(self, number):
            return Image.new("RGB", (8, 8), (200, number, 0)), torch.tensor([number % 2, number // 2])

    monkeypatch.setattr("torchvision.datasets.CelebA", Attributes)
    return Attributes


def test_attributes_are_factors_and_what_is_missing_is_fetched(tmp_path, attributes):
    data = by_name("CelebA", tmp_path).load()
    assert len(data.train) == len(data.val) == len(data.test) == 4 and data.train.y is None
    assert data.train.factors is not None and data.train.factors.names == ("hat", "smile")
    assert data.train.factors.values.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]


def test_a_data_set_that_cannot_be_fetched_is_one_line(tmp_path, attributes, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("File not found or corrupted.\nmore")

    monkeypatch.setattr(attributes, "__init__", fails)
    with pytest.raises(UserError, match=r"dataset\.name=CelebA: File not found or corrupted.*by hand in") as caught:
        by_name("CelebA", tmp_path).load()
    assert "\n" not in str(caught.value)
    config = composed("dataset=torchvision", "dataset.name=EMNIST", "dataset.arguments.split=letters")
    assert config.dataset.arguments["arguments"] == {"split": "letters"}
