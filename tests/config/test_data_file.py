"""`data=FILE` means the overrides that a user would have typed after a look at the file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_cli.config.data_file import expanded
from vae_cli.errors import ConfigError, UserError

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (20, 8, 8), dtype=np.uint8)
ARRAYS = {
    "table": (RNG.normal(size=(50, 3)), "real", "gaussian"),
    "fractions of a table": (RNG.random((50, 3)), "real", "gaussian"),
    "bytes": (BYTES, "levels", "discretised_logistic"),
    "levels": (BYTES / 255, "levels", "discretised_logistic"),
    "black and white": ((BYTES > 127).astype(np.uint8) * 255, "binary", "bernoulli"),
    "masks": (BYTES > 127, "binary", "bernoulli"),
    "binary table": (RNG.integers(0, 2, (50, 3)), "binary", "bernoulli"),
    "fractions": (RNG.random((20, 1, 8, 8)), "unit", "continuous_bernoulli"),
    "images of real numbers": (RNG.normal(size=(20, 8, 8)), "real", "gaussian"),
}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ARRAYS)
def test_the_domain_and_the_likelihood_of_an_array_are_those_of_its_values(name):
    x, domain, likelihood = ARRAYS[name]
    np.save("x.npy", x)
    lines, said = expanded(["seed=1", "data=x.npy"])
    chosen = ["dataset=array", f"dataset.domain={domain}", f"likelihood={likelihood}"]
    assert lines == [*chosen, "dataset.path=x.npy", "seed=1"]
    assert said == f"data=x.npy: {' '.join(chosen)}; set these keys to choose others"


def test_the_reader_is_that_of_the_suffix_and_keys_that_are_set_stay():
    Path("a;b.csv").touch()
    assert expanded(["data='a;b.csv'", "likelihood=gaussian_learned"])[0] == [
        "dataset=table",
        "dataset.path=a;b.csv",
        "likelihood=gaussian_learned",
    ]
    Path("photos").mkdir()
    Image.fromarray(BYTES[0]).save("photos/a.png")
    assert expanded(["data=photos"])[0][0] == "dataset=image_folder"
    Path("photos/dataset_info.json").touch()
    assert expanded(["data=photos"])[0][0] == "dataset=huggingface"
    assert expanded(["seed=1"]) == (["seed=1"], "")


def test_the_array_of_examples_is_the_named_or_the_only_one():
    np.savez("only.npz", **{"my x": RNG.normal(size=(50, 3)), "Y": np.arange(50)})
    chosen = ["dataset.domain=real", "likelihood=gaussian", "dataset.path=only.npz"]
    assert expanded(["data=only.npz"])[0] == ["dataset=array", "dataset.x='my x'", *chosen]
    np.savez("many.npz", images=BYTES, masks=BYTES > 127)
    for name, domain in (("images", "levels"), ("masks", "binary")):
        lines = expanded(["data=many.npz", f"dataset.x={name}"])[0]
        assert f"dataset.domain={domain}" in lines and lines.count(f"dataset.x={name}") == 1
    with pytest.raises(ConfigError, match=r"many\.npz: holds images, masks; use dataset\.x=images\|masks"):
        expanded(["data=many.npz"])


def test_what_cannot_be_read_is_one_line():
    Path("x.npy").touch()
    for error, lines, message in (
        (ConfigError, ["data=none.csv"], r"data=none\.csv: there is no such file or folder .*; set data=PLACE"),
        (
            ConfigError,
            ["data=x.npy", "dataset=mnist"],
            r"data=x\.npy: not together with dataset .*; use dataset\.path=x\.npy",
        ),
        (UserError, ["data=x.npy"], r"x\.npy: not a readable \.npy file"),
    ):
        with pytest.raises(error, match=message):
            expanded(lines)
