"""Tables that commands write."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vae_cli.commands.outputs import table


def test_a_table_appears_once_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "codes.npz"
    with pytest.raises(KeyboardInterrupt), table(str(out)) as write:
        write({"id": np.arange(2), "mean": np.zeros((2, 3))})
        assert not out.exists()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_the_columns_of_a_table_hide_no_other_column(tmp_path: Path) -> None:
    names, rows = ("a,b", "id", "squared_error"), np.arange(6.0).reshape(2, 3)
    with table(str(tmp_path / "out.csv"), names) as write:
        write({"id": np.array(["p", "q"]), "reconstruction": rows, "squared_error": np.array([7.0, 8])})
    found = pd.read_csv(tmp_path / "out.csv")
    own = ["a,b", "reconstruction_id", "reconstruction_squared_error"]
    assert list(found) == ["id", *own, "squared_error"] and found["id"].tolist() == ["p", "q"]
    np.testing.assert_array_equal(found[own], rows)
