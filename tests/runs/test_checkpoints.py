"""Checkpoints as files: the best one that is also the last is stored once."""

from pathlib import Path

import torch

from vae_cli.runs import checkpoints


def written(path: Path) -> int:
    return torch.load(path, weights_only=True)["epoch"]


def test_a_checkpoint_under_two_names_is_one_file_until_one_of_them_changes(tmp_path: Path) -> None:
    best, last, previous = (tmp_path / f"{name}.ckpt" for name in ("best", "last", "previous"))
    checkpoints.save({"epoch": 0}, last)
    checkpoints.save({"epoch": 1}, best)
    checkpoints.copy(best, last)
    assert best.samefile(last) and (written(previous), written(last)) == (0, 1)
    checkpoints.save({"epoch": 2}, best)
    assert (written(best), written(last), written(previous)) == (2, 1, 0)
    checkpoints.save({"epoch": 3}, last)
    assert (written(best), written(last), written(previous)) == (2, 3, 1)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
