"""Tables that commands write."""

from pathlib import Path

import numpy as np
import pytest

from vae_cli.commands.outputs import table


def test_a_table_appears_once_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "codes.npz"
    with pytest.raises(KeyboardInterrupt), table(str(out)) as write:
        write({"id": np.arange(2), "mean": np.zeros((2, 3))})
        assert not out.exists()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
