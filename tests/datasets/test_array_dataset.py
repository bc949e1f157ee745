import numpy as np
import pytest
import torch

from tests.support.arrays import array_data, saved
from tests.support.configs import composed
from vae_cli.datasets.support import check_data
from vae_cli.errors import ConfigError, UserError

RNG = np.random.default_rng(0)


def test_a_seeded_fraction_is_held_out_and_labels_stay_with_their_rows(tmp_path):
    x = RNG.normal(size=(50, 3))
    data = array_data(saved(tmp_path, x=x, y=np.arange(50))).load()
    assert (len(data.train), len(data.val), len(data.test), data.event_shape) == (38, 2, 10, (3,))
    rows = torch.cat([split.y for split in (data.train, data.val, data.test) if split.y is not None])
    assert sorted(rows.tolist()) == list(range(50)) and data.classes == 50
    for split in (data.train, data.val, data.test):
        np.testing.assert_array_equal(split.x, x.astype(np.float32)[split.y])


def test_a_given_test_set_is_kept_as_it_is(tmp_path):
    x, x_test = RNG.integers(0, 256, (20, 4, 5), dtype=np.uint8), RNG.integers(0, 256, (7, 4, 5), dtype=np.uint8)
    data = array_data(saved(tmp_path, x_train=x, x_test=x_test), "levels").load()
    assert data.event_shape == (1, 4, 5) and data.classes is None
    np.testing.assert_array_equal(data.test.x, x_test[:, None])
    (batch,) = data.loader("test", batch_size=7, seed=0, shuffle=False, device=torch.device("cpu"))
    np.testing.assert_array_equal(batch.x, (x_test[:, None] / 255).astype(np.float32))


def test_domains_are_delivered_as_they_are_named(tmp_path):
    binary = RNG.integers(0, 2, (10, 6))
    for x in (binary, binary.astype(bool), binary.astype(np.uint8), binary.astype(np.float64)):
        data = array_data(saved(tmp_path, x=x), "binary").load()
        (batch,) = data.loader("train", batch_size=9, seed=0, shuffle=False, device=torch.device("cpu"))
        assert set(batch.x.unique().tolist()) == {0.0, 1.0}
    levels = RNG.integers(0, 256, (10, 6), dtype=np.uint8)
    data = array_data(saved(tmp_path, x=levels / 255), "levels").load()
    assert data.train.x.dtype == torch.uint8


UNIT = RNG.random((10, 3))


def test_given_validation_data_are_kept_as_they_are(tmp_path, capsys):
    x, x_val, x_test = (RNG.normal(size=(count, 3)) for count in (10, 4, 5))
    y_val = np.array([2, 0, 1, 4])
    path = saved(tmp_path, x_train=x, y_train=np.arange(10), x_val=x_val, y_val=y_val, x_test=x_test)
    data = array_data(path, val_size=3).load()
    for split, expected in ((data.train, x), (data.val, x_val), (data.test, x_test)):
        np.testing.assert_array_equal(split.x, expected.astype(np.float32))
    assert data.val.y.tolist() == y_val.tolist() and data.train.y.tolist() == list(range(10)) and data.classes == 10
    assert "4 validation examples; dataset.val_size does not apply" in capsys.readouterr().out
    assert len(array_data(path, val_size=3, subset=4).load().train) == 4
    with pytest.raises(UserError, match=r"dataset\.val_size=0 asks for no validation data"):
        array_data(path, val_size=0).load()


@pytest.mark.parametrize("kind", ["U", "S"])
def test_labels_that_are_names_are_kept(tmp_path, kind):
    x, y = RNG.normal(size=(12, 3)), np.array(["rich", "poor", "größe"] * 4)
    stored = np.char.encode(y, "utf-8") if kind == "S" else y
    data = array_data(saved(tmp_path, x=x, y=stored)).load()
    assert data.class_names == ("größe", "poor", "rich") and data.classes == 3
    for split in (data.train, data.val, data.test):
        assert [data.class_names[k] for k in split.y] == y[split.rows].tolist()
    split = {"x_train": x, "y_train": stored[:], "x_val": x[:2], "y_val": stored[:2], "x_test": x[:1]}
    data = array_data(saved(tmp_path, **split, y_test=np.array(["other"]))).load()
    assert data.class_names == ("größe", "other", "poor", "rich") and data.test.y.tolist() == [1]
    assert [data.class_names[k] for k in data.val.y] == ["rich", "poor"]


def test_labels_that_are_numbers_have_no_names(tmp_path):
    assert array_data(saved(tmp_path, x=UNIT, y=np.arange(10))).load().class_names is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_labels_that_are_whole_numbers_are_taken(tmp_path, dtype):
    data = array_data(saved(tmp_path, x=UNIT, y=np.full(10, 3, dtype)), val_size=0).load()
    assert data.train.y.dtype == torch.int64 and data.train.y.unique().tolist() == [3] and data.classes == 4


MASK = RNG.integers(0, 2, (20, 6, 6), dtype=np.uint8)


@pytest.mark.parametrize("domain", ["unit", "levels"])
@pytest.mark.parametrize("binarize", ["none", "dynamic", "static", "threshold"])
def test_bytes_of_zero_and_one_are_no_grey_levels(tmp_path, domain, binarize):
    with pytest.raises(ConfigError, match=r"bytes of 0 and 1.*domain=binary"):
        check_data(array_data(saved(tmp_path, x=MASK), domain, binarize=binarize).load(), "npz")
    data = array_data(saved(tmp_path, x=MASK), "binary", val_size=0).load()
    assert sum(int((split.x > 0).sum()) for split in (data.train, data.test)) == MASK.sum()


def test_a_dark_test_set_of_a_grey_training_set_is_grey(tmp_path):
    data = array_data(saved(tmp_path, x_train=255 * MASK, x_test=MASK), "levels").load()
    np.testing.assert_array_equal(data.test.x[:, 0], MASK)


def test_bytes_of_images_as_real_numbers_are_said_to_be_so(tmp_path, capsys):
    data = array_data(saved(tmp_path, x_train=255 * MASK, x_test=MASK)).load()
    assert data.train.x.dtype == torch.float32 and data.train.x.max() == 255
    assert "warning: " in (err := capsys.readouterr().err) and "dataset.domain=levels" in err and err.count("\n") == 1
    array_data(saved(tmp_path, x=MASK.reshape(20, 36))).load()
    assert not capsys.readouterr().err


def test_real_data_are_not_binarised(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.binarize=dynamic"):
        array_data(saved(tmp_path, x=UNIT), binarize="dynamic").load()
    assert array_data(saved(tmp_path, x=UNIT), "unit", binarize="dynamic").load().domain == "binary"


@pytest.mark.parametrize(
    ("val_size", "rows", "held"), [(0.1, 400, 40), (0.29, 100, 29), (0.1, 5, 1), (0.99, 10, 9), (7, 50, 7), (0, 50, 0)]
)
def test_val_size_is_a_number_or_a_fraction_of_the_training_rows(val_size, rows, held, tmp_path):
    x = np.arange(3.0 * rows).reshape(rows, 3)
    data = array_data(saved(tmp_path, x_train=x, x_test=x[:4]), val_size=val_size).load()
    assert (len(data.val), len(data.train)) == (held, rows - held)


@pytest.mark.parametrize("val_size", [1, 2, 0.1, 0.9])
def test_of_one_training_row_none_can_be_held_back(val_size, tmp_path):
    file = saved(tmp_path, x_train=UNIT[:1], x_test=UNIT)
    with pytest.raises(
        UserError, match=rf"dataset\.val_size={val_size} .* has 1 training example; use dataset\.val_size=0"
    ):
        array_data(file, val_size=val_size).load()
    assert len(array_data(file, val_size=0).load().train) == 1
    with pytest.raises(UserError, match="array has one example"):
        array_data(saved(tmp_path, x=UNIT[:1])).load()


@pytest.mark.parametrize("value", ["0.0", "1.0", "1.5", "-1", "-0.1", "true", "null"])
def test_a_val_size_that_is_neither_is_refused(value):
    with pytest.raises(ConfigError, match=r"dataset\.val_size=.*an integer >= 0 or a number > 0 and < 1"):
        composed("dataset=array", "dataset.path=x", f"dataset.val_size={value}")


def test_val_size_beyond_the_data_names_the_key(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.val_size=8"):
        array_data(saved(tmp_path, x=UNIT), val_size=8).load()


@pytest.mark.parametrize("val_size", [0, 5])
def test_one_row_is_too_few(tmp_path, val_size):
    with pytest.raises(UserError, match=r"array has one example: .*; 2 are needed"):
        array_data(saved(tmp_path, x=UNIT[:1]), val_size=val_size).load()
