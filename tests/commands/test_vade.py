"""Whole runs of clustering models in this process: phases, resumption, and the clusters of each example."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import vae_cli
from tests.support.configs import composed
from tests.support.training import assert_same_end, interrupted, train
from vae_cli.errors import UserError
from vae_cli.evaluation.cluster_assignments import SPLITS, Assignments
from vae_cli.evaluation.metrics.clusters import Agreement
from vae_cli.figures import clusters
from vae_cli.figures.examples import Examples, Inputs, observed
from vae_cli.figures.style import styled

VADE = (
    "model=vade", "dataset=digits", "network.hidden=[32]", "model.latent_dim=4", "trainer.max_epochs=2", "logger=csv",
    "pretraining.epochs=2", "initialisation.fixed_epochs=2", "initialisation=gmm", "optimizer.lr=0.01",
    "dataset.batch_size=64",
)  # fmt: skip


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "clustered"
    return folder, train(composed(*VADE), folder)


@pytest.mark.parametrize(
    ("kind", "position"),
    [
        pytest.param("batch", 11, marks=pytest.mark.slow),
        ("epoch", 2),
        pytest.param("batch", 50, marks=pytest.mark.slow),
        pytest.param("epoch", 3, marks=pytest.mark.slow),
        pytest.param("epoch", 4, marks=pytest.mark.slow),
        pytest.param("batch", 95, marks=pytest.mark.slow),
    ],
)
def test_a_run_resumed_in_any_phase_is_bit_identical(kind, position, clustered, tmp_path):
    """Twenty steps an epoch: in pretraining, before the clusters are found, with them held, and with them free."""
    folder, whole = clustered
    results = interrupted(composed(*VADE), tmp_path, kind, position)
    assert_same_end(folder, tmp_path)
    assert results["test/cluster_accuracy"] == whole["test/cluster_accuracy"]
    rows = [(f / "metrics.csv").read_text().splitlines() for f in (folder, tmp_path)]
    timed = [name in ("train/seconds", "train/samples_per_second") for name in rows[0][0].split(",")]
    for ours, theirs in zip(*rows, strict=True):
        pairs = zip(ours.split(","), theirs.split(","), timed, strict=True)
        assert all(a == b for a, b, time in pairs if not time)


def test_vade_reports_clusters_and_learns_by_phases(clustered):
    folder, results = clustered
    assert results["train/epochs"] == 6 and results["train/steps"] == 120
    assert 0.1 < results["test/cluster_accuracy"] <= 1 and 0 < results["test/cluster_accuracy_se"] < 0.1
    assert 0 < results["test/cluster_nmi"] <= 1 and 0 < results["test/cluster_ari"] <= 1
    assert 0 <= results["test/cluster_entropy"] < 2.31
    for name in ("occupancy", "weights"):
        shares = results[f"test/cluster_{name}"]
        assert len(shares) == 10 and sum(shares) == pytest.approx(1, abs=1e-5)
    header, *rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    assert [row[header.index("phase")] for row in rows] == ["1", "1", "2", "2", "3", "3"]


def test_clusters_in_python(clustered):
    folder, results = clustered
    run = vae_cli.load(folder)
    x = run.data.test.x.float() / 255
    gamma = run.responsibilities(x)
    torch.testing.assert_close(gamma.sum(1), torch.ones(len(x)))
    cluster = run.cluster(x)
    assert torch.equal(cluster, gamma.argmax(1))
    agreement = Agreement.of(cluster.numpy(), run.data.test.y.numpy())
    assert agreement.accuracy == pytest.approx(results["test/cluster_accuracy"])
    assert run.sample(3, component=9).shape == (3, 1, 8, 8)
    components = run.mixture.component_distribution
    spread = (run.draw(4000, component=2).mean(0) - components.mean[2]) / components.stddev[2]
    assert spread.abs().max() < 0.1
    with pytest.raises(UserError, match="components are 0 to 9"):
        run.sample(3, component=10)


def test_an_evaluation_writes_the_cluster_of_every_example(clustered, tmp_path):
    folder, _ = clustered
    run = vae_cli.load(folder)
    files = Assignments.of(run.model, run.data, torch.device("cpu"), 100).write(tmp_path / "all")
    arrays = np.load(files[0])
    names, counts = np.unique(arrays["split"], return_counts=True)
    sizes = {name: len(getattr(run.data, name)) for name in ("train", "val", "test")}
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == sizes
    source = load_digits()
    assert sorted(arrays["row"].tolist()) == list(range(len(source.target)))
    assert np.array_equal(arrays["label"], source.target[arrays["row"]])
    test = arrays["split"] == "test"
    assert np.array_equal(arrays["cluster"][test], run.cluster(run.data.test.x.float() / 255).numpy())
    lines = files[1].read_text().splitlines()
    assert lines[0].startswith("split,row,cluster,label,responsibility_0,responsibility_1")
    assert len(lines) == len(arrays["row"]) + 1
    first = lines[1].split(",")
    assert first[:4] == [str(arrays[name][0]) for name in ("split", "row", "cluster", "label")]
    assert [float(v) for v in first[4:]] == pytest.approx(arrays["responsibilities"][0].tolist(), abs=1e-6)


def test_an_evaluation_names_the_file_of_every_image(clustered, tmp_path):
    run = vae_cli.load(clustered[0])
    names = {part: tuple(f"{part}/{i}.png" for i in range(len(getattr(run.data, part)))) for part in SPLITS}
    splits = {part: replace(getattr(run.data, part), files=files) for part, files in names.items()}
    data = replace(run.data, **splits)
    files = Assignments.of(run.model, data, torch.device("cpu"), 100).write(tmp_path / "all")
    arrays = np.load(files[0])
    assert arrays["path"].tolist() == [file for part in SPLITS for file in names[part]]
    header, first = files[1].read_text().splitlines()[:2]
    assert header.startswith("split,row,path,cluster,label,") and first.startswith("train,")
    assert first.split(",")[2] == "train/0.png"


def test_names_of_classes_are_shown_wherever_a_class_is(tmp_path):
    x, names = np.random.default_rng(0).normal(size=(60, 4)), np.array(["poor", "rich"])[np.arange(60) % 2]
    np.savez(tmp_path / "named.npz", x=x, y=names)
    data = ("dataset=array", f"dataset.path={tmp_path}/named.npz", "dataset.val_size=10", "likelihood=gaussian")
    results = train(
        composed(
            "prior=mixture",
            "prior.components=2",
            *data,
            "network.hidden=[32]",
            "model.latent_dim=4",
            "trainer.max_epochs=2",
        ),
        tmp_path / "run",
    )
    assert results["data/class_names"] == ["poor", "rich"]
    run = vae_cli.load(tmp_path / "run")
    assert run.class_names == run.data.class_names == ("poor", "rich")
    with styled(), observed(run.model, torch.device("cpu"), 0):
        examples = Examples.collect(run.model, run.data, "test", torch.device("cpu"), 100)
        inputs = Inputs(run.model, examples, (), 0)
        confusion, scatter = clusters.confusion(inputs), clusters.latent_scatter(inputs)
    assert [text.get_text() for text in confusion.axes[0].get_yticklabels()] == ["poor", "rich"]
    assert [text.get_text() for text in scatter.axes[1].get_legend().get_texts()] == ["poor", "rich"]
    files = Assignments.of(run.model, run.data, torch.device("cpu"), 100).write(tmp_path / "all")
    arrays, (_, *lines) = np.load(files[0]), [line.split(",") for line in files[1].read_text().splitlines()]
    assert arrays["class_names"][arrays["label"]].tolist() == names[arrays["row"]].tolist()
    assert [line[3] for line in lines] == names[arrays["row"]].tolist()
