"""Damaged and wrong .npz, .npy and text files: one line, which names file, array and row."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from tests.support.arrays import array_data, saved
from vae_cli.errors import UserError

RNG = np.random.default_rng(0)


def edited(x, row, column, value):
    x = x.copy()
    x[row, column] = value
    return x


UNIT = RNG.random((10, 3))
FAULTS = [
    ({"x": edited(UNIT, 7, 1, np.nan)}, "real", r"data\.npz: x: row 7, column 1 holds nan"),
    ({"x": edited(UNIT, 3, 0, 1e300)}, "real", r"x: row 3, column 0 holds inf"),
    ({"x": edited(UNIT, 4, 2, 1.5)}, "unit", r"x: row 4, column 2 holds 1\.5"),
    ({"x": edited(UNIT, 5, 2, -0.1)}, "unit", r"x: row 5"),
    ({"x": UNIT}, "levels", r"x: row \d"),
    ({"x": UNIT}, "binary", r"x: row 0"),
    ({"x": UNIT[:, 0]}, "real", r"x: shape \(10,\)"),
    ({"x": UNIT[:0]}, "real", r"x: shape \(0, 3\)"),
    ({"x": np.zeros((9, 8, 8, 3))}, "real", r"channels last"),
    ({"x": np.array([["a", "b"]])}, "real", r"x: numbers are needed"),
    ({"x": UNIT, "y": np.zeros(9, int)}, "real", r"y: shape \(9,\)"),
    ({"x": UNIT, "y": np.arange(10) / 2}, "real", r"y: row 1 holds 0\.5; every value must be a whole number"),
    ({"x": UNIT, "y": np.full(10, np.nan)}, "real", r"y: row 0 holds nan"),
    ({"x": UNIT, "y": np.arange(10) - 1}, "real", r"y: row 0 holds -1; .*remove y"),
    ({"z": UNIT}, "real", r"needs an array x, .*; it holds z;"),
    (
        {"imgs": UNIT, "latents_classes": UNIT},
        "real",
        r"it holds imgs, latents_classes; use dataset\.x=imgs\|latents_classes",
    ),
    ({"x_train": UNIT}, "real", r"x_test; it holds x_train"),
    ({"x_train": UNIT, "x_test": UNIT[:, :2]}, "real", r"\(3,\), x_test \(2,\)"),
    ({"x": UNIT, "x_val": UNIT}, "real", r"holds x beside x_val; rename"),
    ({"x_train": UNIT, "x_val": UNIT}, "real", r"x_test; it holds x_train, x_val"),
    ({"x_train": UNIT, "x_val": UNIT[:, :2], "x_test": UNIT}, "real", r"x_train \(3,\), x_val \(2,\), x_test \(3,\)"),
    ({"x_train": UNIT, "x_test": UNIT, "y_val": np.arange(10)}, "real", r"holds y_val, but no x_val"),
    ({"x": UNIT, "y": np.array(["a"] * 9)}, "real", r"y: shape \(9,\)"),
    (
        {"x_train": UNIT, "x_test": UNIT, "y_train": np.array(["a"] * 10), "y_test": np.arange(10)},
        "real",
        r"y_train holds names, y_test holds int64",
    ),
    ({"x": np.array([[object()]], dtype=object)}, "real", r"not a readable .npz file \(x holds Python objects; "),
]


@pytest.mark.parametrize(("arrays", "domain", "message"), FAULTS)
def test_faults_name_file_array_and_row(tmp_path, arrays, domain, message):
    with pytest.raises(UserError, match=message) as caught:
        array_data(saved(tmp_path, **arrays), domain).load()
    assert "data.npz" in str(caught.value) and "\n" not in str(caught.value)


def damaged(content: bytes) -> list[bytes]:
    middle = len(content) // 2
    return [b"", b"text", content[:middle], content[:middle] + b"????" + content[middle + 4 :]]


def test_damaged_and_missing_files_are_one_line(tmp_path):
    content = saved(tmp_path, x=UNIT).read_bytes()
    for broken in damaged(content):
        (tmp_path / "data.npz").write_bytes(broken)
        with pytest.raises(UserError, match=r"data\.npz: not a readable"):
            array_data(tmp_path / "data.npz").load()
    np.save(tmp_path / "single.npy", UNIT)
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    with pytest.raises(UserError, match=r"single array .*; rename the file \.npy"):
        array_data(tmp_path / "single.npz").load()
    with pytest.raises(UserError, match=r"dataset\.path"):
        array_data(tmp_path / "none.npz").load()


def npy(x: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, x)
    return stream.getvalue()


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert content.count(old) == 1 and len(old) == len(new)
    return content.replace(old, new)


WHOLE = npy(RNG.random((50, 4)))
CSV = "a;b\n1;2\n3;4\n"
MEMBERS = {
    "two of a name": [("x.npy", WHOLE), ("x.npy", WHOLE)],
    "two of a name, one without ending": [("x", WHOLE), ("x.npy", WHOLE)],
    "no array": [("x.npy", b"hello")],
    "no array, no ending": [("x", b"hello")],
    "a header that a tokenizer trips over": [("x.npy", WHOLE[:10] + b"(((((" + WHOLE[15:])],
    "a header that is no dictionary": [("x.npy", WHOLE[:10] + b"[1, 2]".ljust(len(WHOLE) - 1610) + WHOLE[-1600:])],
    "a header of more rows": [("x.npy", changed(WHOLE, b"(50, 4)", b"(99, 4)"))],
    "a header of fewer rows": [("x.npy", changed(WHOLE, b"(50, 4)", b"(10, 4)"))],
    "a header of negative rows": [("x.npy", changed(WHOLE, b"(50, 4)", b"(-9, 4)"))],
    "a header of vast size": [("x.npy", changed(WHOLE, b"(50, 4), }    ", b"(9999999, 999)}"[:14].ljust(14)))],
    "a header of objects": [("x.npy", changed(WHOLE, b"<f8", b"|O8"))],
    "cut short": [("x.npy", WHOLE[:-8])],
    "empty": [("x.npy", b"")],
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("members", MEMBERS.values(), ids=MEMBERS)
def test_damaged_members_are_one_line_without_advice_to_unpickle(tmp_path, members):
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as file:
        for name, content in members:
            file.writestr(name, content)
    with pytest.raises(UserError, match=r"data\.npz: not a readable \.npz file \(") as caught:
        array_data(tmp_path / "data.npz").load()
    assert "pickle" not in str(caught.value) and "\n" not in str(caught.value)
    assert "multi-line" not in str(caught.value) and "attribute" not in str(caught.value)


def test_a_wrong_check_sum_is_one_line(tmp_path):
    content = bytearray(saved(tmp_path, x=RNG.random((50, 4))).read_bytes())
    content[900] ^= 1
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"x is damaged: Bad CRC-32"):
        array_data(tmp_path / "data.npz").load()


def test_a_table_of_text_is_told_its_reader(tmp_path):
    (tmp_path / "data.npz").write_text(CSV, encoding="utf-8-sig")
    with pytest.raises(UserError, match=r"not a readable .npz file \(it is text\); .* use dataset=table"):
        array_data(tmp_path / "data.npz").load()
    (tmp_path / "table.csv").write_text(CSV, encoding="utf-8")
    with pytest.raises(UserError, match=r"table\.csv: no file of arrays; .*; use dataset=table"):
        array_data(tmp_path / "table.csv").load()


def test_a_pickle_is_no_text_and_is_not_read(tmp_path):
    (tmp_path / "data.npz").write_bytes(pickle.dumps({"x": UNIT}))
    with pytest.raises(UserError, match=r"not a readable .npz file \(no archive, or cut short\)"):
        array_data(tmp_path / "data.npz").load()
