import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from vae_cli.datasets import ImageFolder
from vae_cli.datasets.images import ImageFiles
from vae_cli.datasets.support import check_data
from vae_cli.errors import ConfigError, UserError

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def folder(path, **keys) -> ImageFolder:
    defaults = {
        "batch_size": 4,
        "val_size": 2,
        "val_seed": 0,
        "binarize": "none",
        "test_fraction": 0.25,
        "test_seed": 0,
    }
    images = {"size": 8, "channels": "grey", "memory_gb": 1.0, "workers": 0}
    return ImageFolder(path=str(path), **{**defaults, **images, **keys})


def draw(path, shape=(8, 8)) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def images(tmp_path):
    for i in range(12):
        draw(tmp_path / "ab"[i % 2] / f"{i:02}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "a" / "._00.png").write_text("what some systems leave behind")
    return tmp_path


def test_subfolders_are_labels_and_pixels_are_kept(images):
    data = folder(images).load()
    assert (len(data.train), len(data.val), len(data.test)) == (7, 2, 3)
    assert data.event_shape == (1, 8, 8) and data.domain == "levels" and data.classes == 2
    stored = {np.array(Image.open(p)).tobytes(): "ab".index(p.parent.name) for p in images.glob("?/[!.]*.png")}
    for split in (data.train, data.val, data.test):
        assert isinstance(split.x, torch.Tensor) and split.y is not None
        assert [stored[x.numpy().tobytes()] for x in split.x] == split.y.tolist()


@pytest.mark.parametrize("memory_gb", [1.0, 1e-9])
def test_every_example_knows_its_file(images, memory_gb):
    data = folder(images, memory_gb=memory_gb).load()
    for split in (data.train, data.val, data.test):
        assert split.files is not None
        (x,) = split.batches([torch.arange(len(split))])
        for pixels, file in zip(x, split.files, strict=True):
            assert np.array_equal(pixels[0], np.array(Image.open(images / file)))


def test_train_and_test_folders_are_the_splits(tmp_path):
    for i in range(4):
        draw(tmp_path / "train" / f"{i}.png", (9, 12, 3))
    pixels = draw(tmp_path / "test" / "0.png", (8, 8, 3))
    data = folder(tmp_path, channels="rgb", val_size=1).load()
    assert (len(data.train), len(data.test), data.event_shape, data.classes) == (3, 1, (3, 8, 8), None)
    np.testing.assert_array_equal(data.test.x[torch.tensor([0])][0], pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("binarize", ["none", "dynamic", "static", "threshold"])
def test_streaming_gives_the_same_batches_and_state_as_memory(images, binarize, workers):
    kept = folder(images, binarize=binarize).load()
    streamed = folder(images, binarize=binarize, memory_gb=1e-9, workers=workers).load()
    assert isinstance(streamed.train.x, ImageFiles) and streamed.event_shape == kept.event_shape
    a, b = (d.loader("train", batch_size=3, seed=1, shuffle=True, device=CPU) for d in (kept, streamed))
    state = torch.get_rng_state()
    next(iter(b))
    resumed = streamed.loader("train", batch_size=3, seed=1, shuffle=True, device=CPU)
    resumed.load_state_dict(b.state_dict())
    one, two = list(a), list(resumed)
    assert torch.equal(torch.get_rng_state(), state) and len(two) == len(one) - 1
    for p, q in zip(one[1:], two, strict=True):
        assert torch.equal(p.index, q.index) and q.x.shape == p.x.shape
        assert binarize == "static" or torch.equal(p.x, q.x)  # static: each image by its own seed when streamed
        assert binarize == "none" or set(q.x.unique().tolist()) <= {0.0, 1.0}


def test_streamed_evaluation_draws_do_not_depend_on_the_batch_size(images):
    data = folder(images, binarize="dynamic", memory_gb=1e-9).load()
    passes = [
        torch.cat([b.x for b in data.loader("test", batch_size=n, seed=0, shuffle=False, device=CPU)]) for n in (1, 3)
    ]
    assert torch.equal(*passes)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def hostile(images, kind: str) -> bytes:
    good = (images / "a" / "00.png").read_bytes()
    return {
        "empty": b"",
        "text": b"hello",
        "truncated": good[: len(good) // 2],
        "bomb": png_claiming(60_000, 60_000),
        "half a bomb": png_claiming(10_000, 10_000),
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
    }[kind]


@pytest.mark.parametrize("memory_gb", [1.0, 1e-9])
@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "bomb", "half a bomb", "postscript"])
def test_hostile_files_are_named_in_one_line(images, kind, memory_gb):
    (images / "b" / "bad.png").write_bytes(hostile(images, kind))
    with pytest.raises(UserError, match=r"b/bad\.png: not a readable image") as caught:
        data = folder(images, memory_gb=memory_gb, workers=2, val_size=0, test_fraction=0.01).load()
        for part in ("train", "test"):
            list(data.loader(part, batch_size=4, seed=0, shuffle=True, device=CPU))
    assert "\n" not in str(caught.value)


def test_sixteen_bits_are_refused_rather_than_clipped(images):
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)).save(images / "a" / "deep.png")
    with pytest.raises(UserError, match=r"deep\.png: more than 8 bits"):
        folder(images).load()


def test_folders_at_fault_are_named(tmp_path, images):
    with pytest.raises(UserError, match=r"dataset\.path"):
        folder(tmp_path / "none").load()
    draw(images / "stray.png")
    with pytest.raises(UserError, match=r"stray\.png: lies in none of the labels"):
        folder(images).load()
    (tmp_path / "new" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match="but not the other"):
        folder(tmp_path / "new").load()
    (tmp_path / "new" / "test").mkdir()
    with pytest.raises(UserError, match="no images"):
        folder(tmp_path / "new").load()


@pytest.mark.parametrize("memory_gb", [1.0, 1e-9])
@pytest.mark.parametrize("binarize", ["none", "dynamic", "static", "threshold"])
def test_images_of_zero_and_one_are_no_grey_levels(tmp_path, binarize, memory_gb):
    mask = np.eye(8, dtype=np.uint8)
    for i in range(6):
        Image.fromarray(mask).save(tmp_path / f"{i}.png")
    options = {"binarize": binarize, "memory_gb": memory_gb, "workers": 0, "val_size": 1}
    with pytest.raises(ConfigError, match=r"bytes of 0 and 1.*store 0 and 255, or .*dataset\.domain=binary"):
        check_data(folder(tmp_path, **options).load(), "dataset x")
    for i in range(6):
        Image.fromarray(255 * mask).save(tmp_path / f"{i}.png")
    data = check_data(folder(tmp_path, **options).load(), "dataset x")
    (batch,) = data.loader("test", batch_size=9, seed=0, shuffle=False, device=CPU)
    np.testing.assert_array_equal(batch.x[0, 0], mask)


def test_images_of_one_bit_are_black_and_white(tmp_path):
    mask = np.eye(8, dtype=bool)
    for i in range(6):
        Image.fromarray(mask).save(tmp_path / f"{i}.png")
    data = check_data(folder(tmp_path, val_size=1, binarize="threshold").load(), "dataset x")
    np.testing.assert_array_equal(data.train.x[0, 0], 255 * mask)
