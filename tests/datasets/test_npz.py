import numpy as np
import pytest
import torch

from vae_cli.datasets import Npz
from vae_cli.errors import UserError

RNG = np.random.default_rng(0)


def npz(path, domain="real", **keys) -> Npz:
    defaults = {"batch_size": 4, "val_size": 2, "val_seed": 0, "binarize": "none", "test_fraction": 0.2, "test_seed": 0}
    return Npz(path=str(path), domain=domain, **{**defaults, **keys})


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


def test_a_seeded_fraction_is_held_out_and_labels_stay_with_their_rows(tmp_path):
    x = RNG.normal(size=(50, 3))
    data = npz(saved(tmp_path, x=x, y=np.arange(50))).load()
    assert (len(data.train), len(data.val), len(data.test), data.event_shape) == (38, 2, 10, (3,))
    rows = torch.cat([split.y for split in (data.train, data.val, data.test) if split.y is not None])
    assert sorted(rows.tolist()) == list(range(50)) and data.classes == 50
    for split in (data.train, data.val, data.test):
        np.testing.assert_array_equal(split.x, x.astype(np.float32)[split.y])


def test_a_given_test_set_is_kept_as_it_is(tmp_path):
    x, x_test = RNG.integers(0, 256, (20, 4, 5), dtype=np.uint8), RNG.integers(0, 256, (7, 4, 5), dtype=np.uint8)
    data = npz(saved(tmp_path, x_train=x, x_test=x_test), "levels").load()
    assert data.event_shape == (1, 4, 5) and data.classes is None
    np.testing.assert_array_equal(data.test.x, x_test[:, None])
    (batch,) = data.loader("test", batch_size=7, seed=0, shuffle=False, device=torch.device("cpu"))
    np.testing.assert_array_equal(batch.x, (x_test[:, None] / 255).astype(np.float32))


def test_domains_are_delivered_as_they_are_named(tmp_path):
    binary = RNG.integers(0, 2, (10, 6))
    for x in (binary, binary.astype(bool), binary.astype(np.uint8), binary.astype(np.float64)):
        data = npz(saved(tmp_path, x=x), "binary").load()
        (batch,) = data.loader("train", batch_size=9, seed=0, shuffle=False, device=torch.device("cpu"))
        assert set(batch.x.unique().tolist()) == {0.0, 1.0}
    levels = RNG.integers(0, 256, (10, 6), dtype=np.uint8)
    data = npz(saved(tmp_path, x=levels / 255), "levels").load()
    assert data.train.x.dtype == torch.uint8


def edited(x, row, column, value):
    x = x.copy()
    x[row, column] = value
    return x


UNIT = RNG.random((10, 3))
FAULTS = [
    ({"x": edited(UNIT, 7, 1, np.nan)}, "real", r"data\.npz: x: row 7 holds nan"),
    ({"x": edited(UNIT, 3, 0, 1e300)}, "real", r"x: row 3 holds inf"),
    ({"x": edited(UNIT, 4, 2, 1.5)}, "unit", r"x: row 4 holds 1\.5"),
    ({"x": edited(UNIT, 5, 2, -0.1)}, "unit", r"x: row 5"),
    ({"x": UNIT}, "levels", r"x: row \d"),
    ({"x": UNIT}, "binary", r"x: row 0"),
    ({"x": UNIT[:, 0]}, "real", r"x: shape \(10,\)"),
    ({"x": UNIT[:0]}, "real", r"x: shape \(0, 3\)"),
    ({"x": np.zeros((9, 8, 8, 3))}, "real", r"channels last"),
    ({"x": np.array([["a", "b"]])}, "real", r"x: numbers are needed"),
    ({"x": UNIT, "y": np.zeros(9, int)}, "real", r"y: shape \(9,\)"),
    ({"x": UNIT, "y": np.zeros(10)}, "real", r"y: labels are whole"),
    ({"x": UNIT, "y": np.arange(10) - 1}, "real", r"y: row 0 holds -1"),
    ({"z": UNIT}, "real", r"needs an array x"),
    ({"x_train": UNIT}, "real", r"x_test; it holds x_train"),
    ({"x_train": UNIT, "x_test": UNIT[:, :2]}, "real", r"\(3,\), x_test \(2,\)"),
    ({"x": UNIT, "x_val": UNIT}, "real", r"holds x beside x_val; name the training data x_train"),
    ({"x_train": UNIT, "x_val": UNIT}, "real", r"x_test; it holds x_train, x_val"),
    ({"x_train": UNIT, "x_val": UNIT[:, :2], "x_test": UNIT}, "real", r"x_train \(3,\), x_val \(2,\), x_test \(3,\)"),
    ({"x_train": UNIT, "x_test": UNIT, "y_val": np.arange(10)}, "real", r"holds y_val, but no x_val"),
    ({"x": UNIT, "y": np.array(["a"] * 9)}, "real", r"y: shape \(9,\)"),
    (
        {"x_train": UNIT, "x_test": UNIT, "y_train": np.array(["a"] * 10), "y_test": np.arange(10)},
        "real",
        r"y_train holds names, y_test holds int64",
    ),
    ({"x": np.array([[object()]], dtype=object)}, "real", r"not a readable .npz"),
]


@pytest.mark.parametrize(("arrays", "domain", "message"), FAULTS)
def test_faults_name_file_array_and_row(tmp_path, arrays, domain, message):
    with pytest.raises(UserError, match=message) as caught:
        npz(saved(tmp_path, **arrays), domain).load()
    assert "data.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_given_validation_data_are_kept_as_they_are(tmp_path, capsys):
    x, x_val, x_test = (RNG.normal(size=(count, 3)) for count in (10, 4, 5))
    y_val = np.array([2, 0, 1, 4])
    path = saved(tmp_path, x_train=x, y_train=np.arange(10), x_val=x_val, y_val=y_val, x_test=x_test)
    data = npz(path, val_size=3).load()
    for split, expected in ((data.train, x), (data.val, x_val), (data.test, x_test)):
        np.testing.assert_array_equal(split.x, expected.astype(np.float32))
    assert data.val.y.tolist() == y_val.tolist() and data.train.y.tolist() == list(range(10)) and data.classes == 10
    assert "4 validation examples; dataset.val_size does not apply" in capsys.readouterr().out
    assert len(npz(path, val_size=3, subset=4).load().train) == 4
    with pytest.raises(UserError, match=r"dataset\.val_size=0 asks for no validation data"):
        npz(path, val_size=0).load()


@pytest.mark.parametrize("kind", ["U", "S"])
def test_labels_that_are_names_are_kept(tmp_path, kind):
    x, y = RNG.normal(size=(12, 3)), np.array(["rich", "poor", "größe"] * 4)
    stored = np.char.encode(y, "utf-8") if kind == "S" else y
    data = npz(saved(tmp_path, x=x, y=stored)).load()
    assert data.class_names == ("größe", "poor", "rich") and data.classes == 3
    for split in (data.train, data.val, data.test):
        assert [data.class_names[k] for k in split.y] == y[split.rows].tolist()
    split = {"x_train": x, "y_train": stored[:], "x_val": x[:2], "y_val": stored[:2], "x_test": x[:1]}
    data = npz(saved(tmp_path, **split, y_test=np.array(["other"]))).load()
    assert data.class_names == ("größe", "other", "poor", "rich") and data.test.y.tolist() == [1]
    assert [data.class_names[k] for k in data.val.y] == ["rich", "poor"]


def test_labels_that_are_numbers_have_no_names(tmp_path):
    assert npz(saved(tmp_path, x=UNIT, y=np.arange(10))).load().class_names is None


def damaged(content: bytes) -> list[bytes]:
    middle = len(content) // 2
    return [b"", b"text", content[:middle], content[:middle] + b"????" + content[middle + 4 :]]


def test_damaged_and_missing_files_are_one_line(tmp_path):
    content = saved(tmp_path, x=UNIT).read_bytes()
    for broken in damaged(content):
        (tmp_path / "data.npz").write_bytes(broken)
        with pytest.raises(UserError, match=r"data\.npz: not a readable"):
            npz(tmp_path / "data.npz").load()
    np.save(tmp_path / "single.npy", UNIT)
    with pytest.raises(UserError, match="single array"):
        npz(tmp_path / "single.npy").load()
    with pytest.raises(UserError, match=r"dataset\.path"):
        npz(tmp_path / "none.npz").load()


def test_real_data_are_not_binarised(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.binarize=dynamic"):
        npz(saved(tmp_path, x=UNIT), binarize="dynamic").load()
    assert npz(saved(tmp_path, x=UNIT), "unit", binarize="dynamic").load().domain == "binary"


def test_val_size_beyond_the_data_names_the_key(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.val_size=8"):
        npz(saved(tmp_path, x=UNIT), val_size=8).load()
