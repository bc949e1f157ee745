"""A table goes in, is trained on, and comes out again in its own units and columns."""

import numpy as np
import pandas as pd
import pytest

from tests.support.commands import fork

NAMES = ["height", "weight", "children"]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A run on a table of large numbers, and its table."""
    folder = tmp_path_factory.mktemp("work")
    draw = np.random.default_rng(0)
    z = draw.normal(size=300)
    values = {"height": 1e6 + 1e4 * z, "weight": 70 - 5 * z + draw.normal(size=300), "children": draw.poisson(30, 300)}
    pd.DataFrame({"id": [f"p{k}" for k in range(300)], **values}).to_csv(folder / "people.csv", index=False, sep=";")
    line = ("network.hidden=[16]", "model.latent_dim=2", "trainer.max_epochs=2", "figures=[]", "evaluate.samples=5")
    done = fork("vae-train", "data=people.csv", *line, "logger=none", "hydra.run.dir=run", folder=folder)
    assert (done.code, done.err) == (0, "")
    (folder / "out").write_text(done.out)
    return folder


def test_the_header_says_what_was_chosen_and_how_to_choose_otherwise(work):
    out = " ".join((work / "out").read_text().split())
    assert "data=people.csv: dataset=table likelihood=gaussian" in out
    assert "1 identifier (id), 2 positive (height, weight), 1 count (children)" in out
    assert "dataset.types.TYPE=[NAMES]" in out


def test_samples_and_reconstructions_are_in_the_columns_and_units_of_the_table(work):
    table = pd.read_csv(work / "people.csv", sep=";")
    assert fork("vae-sample", "run=run", "n=200", "out=new.csv", folder=work).code == 0
    drawn = pd.read_csv(work / "new.csv")
    assert list(drawn) == NAMES and len(drawn) == 200
    gap = (drawn.mean() - table[NAMES].mean()).abs() / table[NAMES].std()
    assert (gap < 1).all()
    assert fork("vae-reconstruct", "run=run", "data=people.csv", "out=again.parquet", folder=work).code == 0
    again = pd.read_parquet(work / "again.parquet")
    assert list(again) == ["id", *NAMES, "squared_error"] and again["id"].tolist() == table["id"].tolist()
    errors = np.square(again[NAMES] - table[NAMES]).sum(axis=1)
    np.testing.assert_allclose(again["squared_error"], errors, rtol=1e-3)
