"""Numbers in a user's own file, text or .npy."""

import numpy as np
import pytest

from vae_cli.errors import UserError
from vae_cli.studies.number_files import read_numbers

X = np.random.default_rng(0).normal(size=(5, 2))
TEXT = "\n".join(" ".join(map(str, row)) for row in X)
FAULTS = {
    "commas.csv": (TEXT.replace(" ", ",").encode(), "numbers separated by blanks"),
    "binary.txt": (bytes(range(256)), "numbers separated by blanks"),
    "header.npy": (b"\x93NUMPY\x01\x00\x10\x00((((((((((((((((", "not readable"),
    "text.npy": (TEXT.encode(), "no array of numbers"),
}


def test_text_may_begin_with_a_byte_order_mark(tmp_path):
    for mark in ("", "\ufeff"):
        (tmp_path / "x.txt").write_text(mark + TEXT, encoding="utf-8")
        np.testing.assert_array_equal(read_numbers("study.path", str(tmp_path / "x.txt")), X)


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_read_is_one_line_without_advice_to_unpickle(tmp_path, name):
    content, message = FAULTS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"study\.path=.*{name}: not readable: .*") as caught:
        read_numbers("study.path", str(tmp_path / name))
    assert message in str(caught.value) and "pickle" not in str(caught.value) and "\n" not in str(caught.value)


def test_objects_are_refused_without_advice_to_unpickle(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[object()]], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="no array of numbers") as caught:
        read_numbers("study.path", str(tmp_path / "x.npy"))
    assert "pickle" not in str(caught.value)


@pytest.mark.parametrize(("name", "message"), [("", "is a folder; give one file"), ("x.txt", "there is no such file")])
def test_a_folder_and_a_missing_file_are_named(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        read_numbers("study.path", str(tmp_path / name))
