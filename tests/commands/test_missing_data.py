"""Data that are missing or damaged leave no folder of a run."""

from pathlib import Path

from tests.support.commands import fork


def test_missing_and_damaged_data_leave_no_run(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "damaged.npz").write_bytes(b"damaged")
    line = ("dataset=array", "logger=none", "trainer.max_epochs=1", "hydra.run.dir=run")
    missing = fork("vae-train", *line, "dataset.path=none.npz", folder=work)
    assert missing.code == 2 and "dataset.path=none.npz: there is no such file" in missing.err
    damaged = fork("vae-train", *line, "dataset.path=damaged.npz", folder=work)
    assert damaged.code == 1 and "damaged.npz" in damaged.err and "vanished" not in damaged.err
    assert len(damaged.err.splitlines()) == 1 and not (work / "run").exists()
