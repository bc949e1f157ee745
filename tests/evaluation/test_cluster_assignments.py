"""Clustering a table of one's own from the command line, as a user without labels does it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from tests.support.commands import Done, fork

COMPONENTS, ROWS = 6, 2000


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, Done]:
    """A mixture of correlated Gaussians in twelve dimensions, saved without labels, and the run on it."""
    work = tmp_path_factory.mktemp("clustering") / "work"
    work.mkdir()
    rng = np.random.default_rng(0)
    labels = rng.integers(COMPONENTS, size=ROWS)
    means, shapes = 3 * rng.normal(size=(COMPONENTS, 12)), 0.3 * rng.normal(size=(COMPONENTS, 12, 12))
    x = means[labels] + np.einsum("nij,nj->ni", shapes[labels], rng.normal(size=(ROWS, 12)))
    np.savez(work / "table.npz", x=(x + 0.3 * rng.normal(size=x.shape)).astype(np.float32))
    table = ("dataset=array", "dataset.path=table.npz", f"prior.components={COMPONENTS}")
    phases = ("pretraining.epochs=10", "initialisation=gmm", "initialisation.fixed_epochs=4")
    small = ("network.hidden=[64]", "evaluate.samples=5", "trainer.accelerator=cpu", "logger=none")
    choices = ("model=vade", *table, *phases, *small, "hydra.run.dir=run")
    return work, labels, fork("vae-train", *choices, folder=work)


def test_the_phases_are_shown(clustered: tuple[Path, np.ndarray, Done]) -> None:
    _, _, done = clustered
    assert (done.code, done.err) == (0, "")
    for words in ("pretraining 10/15 ", "codes clustered in", "fixed clusters 14/15 ", "training 15/15 "):
        assert words in done.out
    assert "test/cluster_entropy" in done.out and "accuracy" not in done.out  # there are no labels


@pytest.mark.slow
def test_the_clusters_are_drawn(clustered: tuple[Path, np.ndarray, Done]) -> None:
    """By an embedding, which is compiled for many seconds."""
    work, _, _ = clustered
    line = ("model=vade", "dataset=array", "dataset.path=table.npz", f"prior.components={COMPONENTS}", "logger=none")
    short = ("pretraining=none", "initialisation=none", "trainer.max_epochs=1", "evaluate.samples=5")
    done = fork("vae-train", *line, *short, "hydra.run.dir=drawn", folder=work, FIGURES="yes")
    assert (done.code, done.err) == (0, "")
    for name in ("component_means", "clusters", "samples"):
        with Image.open(work / "drawn" / "figures" / f"{name}.png") as image:
            image.verify()


def test_a_table_without_labels_is_clustered(clustered: tuple[Path, np.ndarray, Done]) -> None:
    """Every row of the table is assigned, and nearly all of them as they were drawn."""
    work, labels, _ = clustered
    done = fork("vae-eval", "run=run", "evaluate.samples=5", folder=work)
    assert (done.code, done.err) == (0, "")
    (file,) = (work / "run" / "evaluations").glob("*_clusters.npz")
    arrays = np.load(file)
    assert sorted(arrays["row"].tolist()) == list(range(len(labels))) and "label" not in arrays
    assert arrays["responsibilities"].sum(1) == pytest.approx(1, abs=1e-5)
    assert adjusted_rand_score(labels[arrays["row"]], arrays["cluster"]) > 0.95
    results = json.loads((work / "run" / "results.json").read_text())
    assert sum(results["test/cluster_weights"]) == pytest.approx(1, abs=1e-5)


def test_one_component_can_be_sampled(clustered: tuple[Path, np.ndarray, Done]) -> None:
    work, _, _ = clustered
    done = fork("vae-sample", "run=run", "n=40", "component=2", folder=work)
    assert (done.code, done.err) == (0, "")
    assert np.load(work / "run" / "samples" / "best_c2_n40_seed0.npz")["x"].shape == (40, 12)
    refused = fork("vae-sample", "run=run", "component=6", folder=work)
    assert refused.code != 0 and "component=0 to 5" in refused.err and len(refused.err.splitlines()) == 1
