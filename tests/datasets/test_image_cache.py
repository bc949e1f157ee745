"""Decoded images are kept once for all jobs; training images are changed at random, the others never."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from tests.datasets.test_image_folder import draw, folder
from vae_cli.datasets import image_cache
from vae_cli.datasets.augmentation import Augmentation
from vae_cli.datasets.images import ImageFiles

CPU = torch.device("cpu")


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setattr(image_cache, "FEWEST", 2)
    for number in range(12):
        draw(tmp_path / "photos" / f"{number:02}.png", (9, 11, 3))
    return tmp_path / "photos"


def same(one, other) -> bool:
    order = {"batch_size": 5, "seed": 0, "shuffle": True, "device": CPU}
    pairs = zip(one.loader("train", **order), other.loader("train", **order), strict=True)
    return all(torch.equal(a.x, b.x) for a, b in pairs)


@pytest.mark.parametrize("binarize", ["none", "static"])
def test_the_cache_changes_no_pixel_and_is_written_once(images, tmp_path, monkeypatch, capsys, binarize):
    keys = {"channels": "rgb", "binarize": binarize}
    plain = folder(images, cache=False, **keys).load()
    cached = folder(images, cache=str(tmp_path / "cache"), **keys).load()
    assert same(plain, cached) and cached.sha256 == plain.sha256
    assert "12 decoded images" in capsys.readouterr().out
    (file,) = (tmp_path / "cache").glob("*.npy")
    assert np.load(file).shape == (12, 3, 8, 8)
    monkeypatch.setattr("vae_cli.datasets.images.decode", None)  # nothing is decoded again
    assert same(folder(images, cache=str(tmp_path / "cache"), memory_gb=1e-9, **keys).load(), plain)


def test_a_changed_folder_or_size_is_decoded_again_and_old_caches_make_room(images, tmp_path, monkeypatch):
    place = tmp_path / "cache"
    folder(images, cache=str(place)).load()
    (first,) = place.glob("*.npy")
    os.utime(first, (1, 1))
    folder(images, cache=str(place), size=9).load()
    assert len(list(place.glob("*.npy"))) == 2
    monkeypatch.setattr(image_cache, "LIMIT", 12 * 81 + 1200)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(images / "00.png")
    changed = folder(images, cache=str(place), val_size=0, test_fraction=0.01).load()
    assert not first.exists() and same(changed, folder(images, cache=False, val_size=0, test_fraction=0.01).load())
    monkeypatch.setattr(image_cache, "LIMIT", 10)
    x = folder(images, cache=str(place), memory_gb=1e-9, size=7).load().train.x
    assert isinstance(x, ImageFiles) and x.decoded is None


def test_flips_and_crops_are_those_of_their_definition():
    x = torch.arange(2000 * 25, dtype=torch.int32).reshape(2000, 1, 5, 5)
    generator = torch.Generator().manual_seed(0)
    flipped = Augmentation(True, 0)(x, generator)
    mirrored = (flipped == x.flip(-1)).all(-1).all(-1).all(-1)
    assert ((flipped == x).all(-1).all(-1).all(-1) ^ mirrored).all() and 900 < mirrored.sum() < 1100
    cropped = Augmentation(False, 2)(x, generator)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), (2, 3))[:, 0]  # (N, 5, 5, 5, 5)
    found = (windows == cropped.numpy()[:, 0, None, None]).all((-1, -2))
    assert (found.sum((1, 2)) == 1).all()
    assert (found.mean(0) > 0.02).all()  # each of the 25 shifts


def test_only_shuffled_training_batches_are_changed_and_a_resumed_epoch_goes_on(images):
    data = folder(images, cache=False, flip=True, crop=1).load()
    plain = folder(images, cache=False).load()
    order = {"batch_size": 2, "seed": 0, "device": CPU}
    for name in ("train", "val", "test"):
        pairs = zip(data.loader(name, shuffle=False, **order), plain.loader(name, shuffle=False, **order), strict=True)
        assert all(torch.equal(a.x, b.x) for a, b in pairs)
    loader = data.loader("train", shuffle=True, **order)
    epochs = [[batch.x for batch in loader] for _ in range(2)]
    assert not same(data, plain)
    resumed = data.loader("train", shuffle=True, **order)
    resumed.load_state_dict({"epoch": 1, "batch": 2})
    assert all(torch.equal(batch.x, x) for batch, x in zip(resumed, epochs[1][2:], strict=True))
