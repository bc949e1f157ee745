import json

import numpy as np
import pytest
from PIL import Image

from tests.support.arrays import array_data, saved
from tests.support.configs import composed
from tests.support.format_folder import PLACE
from vae_cli.datasets.idx import render_idx
from vae_cli.datasets.new_data import read_like
from vae_cli.datasets.schema import Schema
from vae_cli.errors import UserError
from vae_cli.runs import saved_config
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.saved_config import EARLIEST, FORMAT

RNG = np.random.default_rng(0)


@pytest.fixture
def run(tmp_path):
    """A folder with the schema of a data set."""

    def write(data) -> RunFolder:
        folder = RunFolder(tmp_path / "run")
        folder.path.mkdir(exist_ok=True)
        Schema.of(data).write(folder)
        assert Schema.read(folder) == Schema.of(data)
        return folder

    return write


def test_the_schema_holds_the_facts_of_the_training_rows(tmp_path):
    x = RNG.normal(size=(50, 3))
    data = array_data(saved(tmp_path, x=x, y=np.array(["b", "a"] * 25)), standardise="auto").load()
    schema, train = Schema.of(data), x[data.train.rows]
    assert schema.class_names == ("a", "b") and schema.event_shape == (3,) and schema.domain == "real"
    np.testing.assert_allclose(schema.low, train.min(0))
    np.testing.assert_allclose(schema.high, train.max(0))
    np.testing.assert_allclose(schema.mean, train.mean(0))
    np.testing.assert_allclose(schema.scale, train.std(0))


def test_rows_come_in_blocks_in_order_with_their_names(tmp_path, run, capsys):
    x = RNG.normal(size=(50, 3))
    folder = run(array_data(saved(tmp_path, x=x)).load())
    new = np.clip(RNG.normal(size=(9, 3)), -0.5, 0.5)
    np.save(tmp_path / "new.npy", new)
    np.savez(tmp_path / "named.npz", x=new, ids=[f"row {i}" for i in range(9)])
    found = read_like(folder, tmp_path / "new.npy")
    assert [len(ids) for ids, _ in found.blocks(4)] == [4, 4, 1] and list(found.ids) == list(range(9))
    np.testing.assert_array_equal(found.array(), new.astype(np.float32))
    assert read_like(folder, tmp_path / "named.npz").ids[8] == "row 8"
    assert capsys.readouterr().err == ""


def test_the_examples_have_the_name_of_the_training_array_or_are_the_only_ones(tmp_path, run):
    x = RNG.uniform(size=(50, 3)).astype(np.float32)
    folder = run(array_data(saved(tmp_path, imgs=x), x="imgs").load())
    saved_config.write({"model": {}, "dataset": {"x": "imgs"}}, folder.config_file, "vae-train")
    np.savez(tmp_path / "new.npz", imgs=x[:5], others=x)
    np.testing.assert_array_equal(read_like(folder, tmp_path / "new.npz").array(), x[:5])
    np.savez(tmp_path / "one.npz", found=x[:7], y=np.arange(7))
    np.testing.assert_array_equal(read_like(folder, tmp_path / "one.npz").array(), x[:7])
    np.savez(tmp_path / "two.npz", a=x, b=x)
    with pytest.raises(UserError, match="needs an array imgs; it holds a, b; save the examples under this name"):
        read_like(folder, tmp_path / "two.npz")
    np.save(tmp_path / "scalar.npy", 3.0)
    with pytest.raises(UserError, match="x: a single number"):
        read_like(folder, tmp_path / "scalar.npy")


def test_differences_are_named(tmp_path, run, capsys):
    folder = run(array_data(saved(tmp_path, x=RNG.uniform(0, 1, (50, 3)))).load())
    far = np.full((6, 3), 0.5)
    far[4, 1] = 7
    for name, array in {"far": far, "wide": np.zeros((4, 5)), "nan": np.full((2, 3), np.nan)}.items():
        np.save(tmp_path / f"{name}.npy", array)
    read_like(folder, tmp_path / "far.npy").array()
    assert "column 1 reaches 7; in the training data it lies in [0" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"shape \(4, 5\); this model takes \(N, 3\)"):
        read_like(folder, tmp_path / "wide.npy").array()
    np.save(tmp_path / "none.npy", np.zeros((0, 3)))
    with pytest.raises(UserError, match="x: holds no examples"):
        read_like(folder, tmp_path / "none.npy")
    with pytest.raises(UserError, match="row 0, column 0 holds nan"):
        read_like(folder, tmp_path / "nan.npy").array()
    with pytest.raises(UserError, match="there is no such file"):
        read_like(folder, tmp_path / "gone.npy")
    with pytest.raises(UserError, match=r"images, but this model takes x of shape \(3,\)"):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
        read_like(folder, tmp_path / "a.png")


def test_images_of_files_idx_and_arrays_are_equal(tmp_path, run):
    grey = RNG.integers(0, 256, (12, 8, 8), dtype=np.uint8)
    folder = run(array_data(saved(tmp_path, x=grey), "levels").load())
    (tmp_path / "images/a").mkdir(parents=True)
    for number, one in enumerate(grey):
        Image.fromarray(one).save(tmp_path / f"images/a/{number:02}.png")
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(render_idx(grey))
    np.save(tmp_path / "flat.npy", grey.reshape(12, 64))
    expected = (grey[:, None] / 255).astype(np.float32)
    for name in ("images", "t10k-images-idx3-ubyte", "flat.npy"):
        np.testing.assert_allclose(read_like(folder, tmp_path / name).array(), expected, atol=1e-7)
    assert read_like(folder, tmp_path / "images").ids[3] == "a/03.png"


def test_grey_images_are_drawn_by_their_content(tmp_path, run):
    data = composed("dataset=digits").dataset.build().load()
    folder = run(data)
    grey = np.tile(RNG.random((1, 8, 8), np.float32), (3000, 1, 1)) + RNG.uniform(0, 1e-3, (3000, 1, 1))
    grey = np.clip(grey, 0, 1).astype(np.float32)
    np.save(tmp_path / "x.npy", grey)
    np.save(tmp_path / "shuffled.npy", grey[::-1])
    drawn = read_like(folder, tmp_path / "x.npy").array()
    np.testing.assert_array_equal(read_like(folder, tmp_path / "shuffled.npy").array(), drawn[::-1])
    assert set(np.unique(drawn)) == {0, 1}
    np.testing.assert_allclose(drawn.mean(0)[0], grey[0], atol=5 * 0.5 / np.sqrt(3000))
    np.save(tmp_path / "binary.npy", drawn)
    np.testing.assert_array_equal(read_like(folder, tmp_path / "binary.npy").array(), drawn)


def test_a_damaged_schema_is_named(run, tmp_path):
    folder = run(array_data(saved(tmp_path, x=RNG.normal(size=(20, 2)))).load())
    folder.schema_file.write_text(json.dumps({"name": 3}))
    with pytest.raises(UserError, match=r"schema\.json: not readable"):
        Schema.read(folder)


@pytest.mark.parametrize("number", range(EARLIEST, FORMAT))
def test_an_early_run_has_the_schema_of_its_checkpoint(number):
    (folder,) = (PLACE / f"format_{number}").iterdir()
    schema = Schema.read(RunFolder(folder))
    assert schema.event_shape == (1, 8, 8) and (schema.domain, schema.binarize) == ("binary", "static")
