"""Each format as its own library writes it, in memory and streamed from disk."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.support.arrays import array_data
from vae_cli.datasets.array_files import open_arrays
from vae_cli.datasets.array_rows import ArrayRows
from vae_cli.datasets.support import check_data
from vae_cli.errors import UserError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 3)).astype(np.float32)
Y = np.array(["b", "a", "c", "a", "b"] * 100)
STREAMED = {"memory_gb": 1e-9}
CPU = torch.device("cpu")


def written(folder, kind):
    path = folder / f"data.{kind}"
    if kind == "npy":
        np.save(path, X)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=X, chunks=(7, 3), compression="gzip")
            file["y"] = Y.astype("S")
            file.create_group("notes")
    elif kind == "zarr":
        import zarr

        group = zarr.open_group(str(path), mode="w")
        group.create_array("x", data=X, chunks=(7, 3))
        group.create_array("y", data=np.arange(500) % 3)
    elif kind == "pt":
        torch.save({"x": torch.from_numpy(X), "y": torch.arange(500) % 3}, path)
    elif kind == "pth":
        torch.save(torch.from_numpy(X).double(), path)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["npy", "h5", "zarr", "pt", "pth"])
def test_arrays_in_memory_and_on_disk_are_equal(tmp_path, kind):
    path = written(tmp_path, kind)
    whole = check_data(array_data(path, val_size=50).load(), "data")
    streamed = check_data(array_data(path, val_size=50, **STREAMED).load(), "data")
    assert isinstance(streamed.train.x, ArrayRows) and whole.class_names == streamed.class_names
    assert whole.class_names == (("a", "b", "c") if kind == "h5" else None)
    for name in ("train", "val", "test"):
        one, other = getattr(whole, name), getattr(streamed, name)
        batches = list(streamed.loader(name, batch_size=64, seed=0, shuffle=False, device=CPU))
        x = torch.cat([batch.x for batch in batches])
        np.testing.assert_array_equal(x, X[other.rows])
        assert sorted(one.rows.tolist()) == sorted(other.rows.tolist())
        if other.y is not None:
            np.testing.assert_array_equal(torch.cat([batch.y for batch in batches]), other.y)
            np.testing.assert_array_equal(
                other.y, np.unique(Y, return_inverse=True)[1][other.rows] if kind == "h5" else other.rows % 3
            )


def test_each_epoch_of_a_stream_is_a_permutation_that_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr("vae_cli.datasets.array_rows.BLOCK_BYTES", 10 * 12)
    monkeypatch.setattr("vae_cli.datasets.array_rows.POOL", 4)
    data = array_data(written(tmp_path, "npy"), **STREAMED).load()
    order = {"batch_size": 16, "seed": 3, "shuffle": True, "device": CPU}
    loader = data.loader("train", **order)
    epochs = [[batch.index for batch in loader] for _ in range(2)]
    for epoch in epochs:
        assert sorted(torch.cat(epoch).tolist()) == list(range(len(data.train)))
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))
    pool = data.train.rows[torch.cat(epochs[0])[:40]] // 10  # 40 rows and the last of a pool come of few blocks
    assert 4 <= len(pool.unique()) <= 8 and not torch.equal(pool, pool.sort().values)
    resumed = data.loader("train", **order)
    resumed.load_state_dict({"epoch": 1, "batch": 5})
    rest = list(resumed)
    assert all(torch.equal(batch.index, one) for batch, one in zip(rest, epochs[1][5:], strict=True))
    for batch in rest:
        np.testing.assert_array_equal(batch.x, X[data.train.rows[batch.index]])


def test_a_stream_reads_each_block_once_an_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr("vae_cli.datasets.array_rows.BLOCK_BYTES", 10 * 12)
    monkeypatch.setattr("vae_cli.datasets.array_rows.POOL", 4)
    data = array_data(written(tmp_path, "npy"), **STREAMED).load()
    read = []
    block = ArrayRows.block
    monkeypatch.setattr(ArrayRows, "block", lambda self, number: read.append(number) or block(self, number))
    for _ in data.loader("train", batch_size=16, seed=0, shuffle=True, device=CPU):
        pass
    assert sorted(read) == list(range(50))


def test_streamed_rows_are_standardised_and_binarised(tmp_path):
    np.save(tmp_path / "data.npy", 5 + 3 * X.astype(np.float64))
    data = array_data(tmp_path / "data.npy", standardise="auto", **STREAMED).load()
    u = torch.cat([batch.x for batch in data.loader("train", batch_size=64, seed=0, shuffle=True, device=CPU)])
    np.testing.assert_allclose(u.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(u.std(0, correction=0), 1, rtol=1e-5)
    np.save(tmp_path / "bytes.npy", RNG.integers(0, 256, (500, 4, 4), dtype=np.uint8))
    grey = array_data(tmp_path / "bytes.npy", "levels", binarize="static", **STREAMED).load()
    draws = [
        torch.cat([batch.x for batch in grey.loader("val", batch_size=size, seed=0, shuffle=False, device=CPU)])
        for size in (2, 64)
    ]
    assert torch.equal(*draws) and set(draws[0].unique().tolist()) == {0, 1}


def test_faults_name_the_file_and_the_row(tmp_path, monkeypatch):
    monkeypatch.setattr("vae_cli.datasets.array_rows.BLOCK_BYTES", 10 * 12)
    bad = X.copy()
    bad[437, 1] = np.nan
    np.save(tmp_path / "data.npy", bad)
    data = array_data(tmp_path / "data.npy", **STREAMED).load()
    with pytest.raises(UserError, match=r"data\.npy: x \(rows from 430\): row 7, column 1 holds nan"):
        for name in ("train", "val", "test"):
            list(data.loader(name, batch_size=64, seed=0, shuffle=False, device=CPU))
    for kind in ("h5", "npy", "pt"):
        (tmp_path / f"broken.{kind}").write_bytes(b"no array")
        with pytest.raises(UserError, match=rf"broken\.{kind}: not a readable \.{kind} file") as caught:
            array_data(tmp_path / f"broken.{kind}").load()
        assert "\n" not in str(caught.value)
    np.save(tmp_path / "objects.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(UserError, match="it holds Python objects; save numbers"):
        array_data(tmp_path / "objects.npy").load()
    torch.save({"x": [1, 2]}, tmp_path / "lists.pt")
    with pytest.raises(UserError, match="x is list; save a tensor"):
        array_data(tmp_path / "lists.pt").load()


def test_arrays_in_groups_and_tensors_of_all_kinds_are_read(tmp_path):
    import zarr

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["part/x"], file["part/y"], file["link"] = X, np.arange(500) % 3, h5py.SoftLink("/gone")
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w").create_group("part").create_array("x", data=X, chunks=(7, 3))
    for name in ("a.h5", "a.zarr"):
        data = array_data(tmp_path / name, x="part/x").load()
        np.testing.assert_array_equal(data.train.x, X[data.train.rows])
    torch.save(torch.nn.Parameter(torch.from_numpy(X)), tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(open_arrays(tmp_path / "a.pt")["x"][:], X)


class Evil:
    """Its pickle runs a function when it is read."""

    def __reduce__(self):
        return Path.touch, (Path("evil"),)


def test_no_file_runs_code_or_is_taken_for_another_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(Evil(), "a.pt")
    torch.save(torch.nn.Linear(2, 2), "module.pt")
    for name in ("a.pt", "module.pt"):
        with pytest.raises(UserError, match=rf"{name}: .*it holds Python objects; save numbers"):
            open_arrays(Path(name))
    assert not Path("evil").exists()
    np.save("scalar.npy", 3.0)
    with pytest.raises(UserError, match=r"scalar\.npy: x: shape \(\); needs \(N, D\)"):
        array_data("scalar.npy").load()
    Path("a.xlsx").touch()
    with pytest.raises(UserError, match=r"a\.xlsx: no file of arrays; they end in \.npz, .*tables in \.csv"):
        array_data("a.xlsx").load()


def test_factors_are_numbered_in_the_order_of_their_values(tmp_path):
    values = np.stack([np.repeat([0.5, -1.0], 5), np.tile([3, 1, 2, 9, 9], 2)], 1)
    np.savez(tmp_path / "data.npz", imgs=RNG.normal(size=(10, 3)), factors=values, factor_names=["size", "shape"])
    data = array_data(tmp_path / "data.npz", x="imgs").load()
    assert data.train.factors is not None
    assert data.train.factors.names == ("size", "shape") and data.train.factors.sizes == (2, 4)
    expected = np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], 1)
    np.testing.assert_array_equal(data.train.factors.values, expected[data.train.rows])
    np.savez(tmp_path / "data.npz", x=RNG.normal(size=(2000, 3)), factors=RNG.normal(size=(2000, 1)))
    with pytest.raises(UserError, match="factor 0 has 2,000 values; give at most 1,000"):
        array_data(tmp_path / "data.npz").load()
