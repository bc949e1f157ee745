"""Loggers: their files, read by their own readers, and that they change no number."""

import csv
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from tests.support.configs import composed
from tests.support.training import assert_same_end, train
from tests.support.wandb_files import of_kind, records
from vae_cli.config.schema import plain
from vae_cli.datasets.info import DatasetInfo
from vae_cli.runs import checkpoints
from vae_cli.runs.folder import RunFolder
from vae_cli.training.build import build_module
from vae_cli.training.loggers.steps_file import StepsFile
from vae_cli.training.loggers.tensorboard import TensorBoardLogger

SMALL = ("dataset=digits", "network.hidden=[8]", "model.latent_dim=2", "trainer.max_epochs=2", "evaluate.samples=2")
ALL = ("logger=[wandb,csv,tensorboard]", "logger.every=7", "logger.images=4")
SLIDER = [20, 39, 59, 78]
"""Steps that complete a quarter of 78."""


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run of 78 steps with all loggers."""
    folder = tmp_path_factory.mktemp("logged")
    return folder, train(composed(*SMALL, *ALL), folder)


def rows(file: Path) -> list[dict[str, float]]:
    return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file.read_text().splitlines())]


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), {"images": 0, "scalars": 0}).Reload()


def test_loggers_change_no_number(logged: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, results = logged
    without = train(composed(*SMALL, "logger=none"), tmp_path)
    assert_same_end(folder, tmp_path)
    assert {k: v for k, v in results.items() if "/" in k and "per_second" not in k} == {
        k: v for k, v in without.items() if "/" in k and "per_second" not in k
    }


def test_rows_of_steps(logged: tuple[Path, dict[str, Any]]) -> None:
    found = rows(logged[0] / "steps.csv")
    assert [row["step"] for row in found] == list(range(7, 78, 7))
    assert [row["epoch"] for row in found] == [1 + (row["step"] > 39) for row in found]
    assert all(row["step/samples_per_second"] > 0 for row in found)
    for row in found:
        assert row["step/loss"] == pytest.approx(row["step/distortion"] + row["step/rate"], rel=1e-6)


def test_a_step_states_the_loss_of_its_batch_and_the_norm_of_the_gradient(tmp_path: Path) -> None:
    """A step of SGD without momentum moves the parameters by the gradient, before it is clipped, times the rate."""
    steps = ("optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=false", "scheduler=constant", "logger=csv")
    one = ("trainer.limit_batches=1", "trainer.max_epochs=1", "logger.every=1", "optimizer.lr=1e-3")
    config = composed(*SMALL, *steps, *one)
    pl.seed_everything(config.seed, verbose=False)
    before = build_module(config, DatasetInfo.of(config.dataset.build().load())).state_dict()
    train(config, tmp_path)
    after = checkpoints.load(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    moved = math.sqrt(sum(float((after[name] - before[name]).square().sum()) for name in before))
    (row,) = rows(tmp_path / "steps.csv")
    assert (row["epoch"], row["step"]) == (1, 1)
    assert row["step/gradient_norm"] == pytest.approx(moved / row["step/lr"], rel=1e-3)
    assert row["step/loss"] == pytest.approx(rows(tmp_path / "metrics.csv")[0]["train/loss"])


def test_tensorboard(logged: tuple[Path, dict[str, Any]]) -> None:
    folder, results = logged
    found, history = events(folder / "tensorboard"), rows(folder / "metrics.csv")
    scalars = {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    assert min(step for points in scalars.values() for step, _ in points) == 7
    assert scalars["epoch"] == [(39, 1), (78, 2)]
    assert scalars["val/elbo"] == [(row["step"], pytest.approx(row["val/elbo"])) for row in history]
    assert [step for step, _ in scalars["step/gradient_norm"]] == list(range(7, 78, 7))
    assert scalars["test/elbo"] == [(78, pytest.approx(results["test/elbo"]))]
    assert scalars["hp_metric"] == [(78, pytest.approx(results["val/elbo"]))]
    assert not [tag for tag in scalars if tag.startswith(("data/", "evaluate/", "version/"))]
    for name in ("samples", "reconstructions"):
        assert [image.step for image in found.Images(f"training/{name}")] == SLIDER


def test_hyperparameters_in_tensorboard(logged: tuple[Path, dict[str, Any]]) -> None:
    content = events(logged[0] / "tensorboard").SummaryMetadata
    tags = {tag: content(tag).plugin_data.content for tag in ("_hparams_/session_start_info", "_hparams_/experiment")}
    chosen = metadata.parse_session_start_info_plugin_data(tags["_hparams_/session_start_info"]).hparams
    assert chosen["objective.beta"].number_value == 1 and chosen["network.hidden"].string_value == "[8]"
    assert not [name for name in chosen if name.startswith(("logger", "cluster"))]
    measures = metadata.parse_experiment_plugin_data(tags["_hparams_/experiment"]).metric_infos
    assert {"hp_metric", "test/elbo"} <= {measure.name.tag for measure in measures}


def test_wandb(logged: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = logged
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    kept = records(file)
    found = [item["item"] for item in of_kind(kept, "history")]
    steps = [row for row in found if "step/loss" in row]
    assert [row["step/gradient_norm"] for row in steps] == [
        row["step/gradient_norm"] for row in rows(folder / "steps.csv")
    ]
    slider = [row for row in found if "training/samples.path" in row]
    assert [(row["epoch"], row["step"]) for row in slider] == [(1, 20), (1, 39), (2, 59), (2, 78)]
    assert [row["training/samples.caption"] for row in slider] == [
        f"epoch {row['epoch']:.0f}, step {row['step']:.0f}" for row in slider
    ]
    images = [(file.parent / "files" / row["training/samples.path"]).read_bytes() for row in slider]
    assert len(set(images)) == 4
    assert "requirements.txt" in [one["path"] for item in of_kind(kept, "files") for one in item["files"]]
    packages = (file.parent / "files" / "requirements.txt").read_text().splitlines()
    assert f"wandb=={version('wandb')}" in packages


def test_a_resumed_run_replaces_later_rows(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for resumed, steps in ((None, (1, 2, 3, 4)), (2, (3, 4, 5))):
        file = StepsFile(run, resumed)
        board = TensorBoardLogger(tmp_path / "tensorboard", plain(composed(*SMALL)), resumed)
        for step in steps:
            row = {"epoch": 1, "step": step, "step/loss": 10 * (resumed or 0) + step}
            file.log_step(row | ({"step/rate": 1.0} if step == 5 else {}))
            board.log_step(row)
        board.finish({})
    expected = [(1, 1), (2, 2), (3, 23), (4, 24), (5, 25)]
    assert [(row["step"], row["step/loss"]) for row in rows(run.steps_file)] == expected
    assert run.steps_file.read_text().splitlines()[1] == "1,1,1.0,"
    assert [row.get("step/rate") for row in rows(run.steps_file)] == [None] * 4 + [1.0]
    assert [(event.step, event.value) for event in events(tmp_path / "tensorboard").Scalars("step/loss")] == expected


KINDS = {
    "table": ["dataset=linear_gaussian", "likelihood=gaussian", "network.hidden=[8]"],
    "gan": ["model=gan", "network=mlp", "network.hidden=[8]"],
    "vqvae": ["model=vqvae", "network.channels=[4,8]", "second_stage.epochs=1"],
    "per example": ["posterior=per_example", "dataset.binarize=static", "network.hidden=[8]"],
}


@pytest.mark.parametrize("change", KINDS.values(), ids=KINDS)
def test_every_kind_of_model_logs_images(change: list[str], tmp_path: Path) -> None:
    small = ["dataset=digits", "trainer.max_epochs=1", "evaluate.samples=2", "trainer.limit_batches=4"]
    train(composed(*small, *change, "logger=tensorboard", "logger.images=2", "logger.every=1"), tmp_path)
    found = events(tmp_path / "tensorboard")
    assert len(found.Images("training/samples")) == 2
    assert torch.isfinite(torch.tensor([event.value for event in found.Scalars("step/loss")])).all()


def test_artifacts_of_weights_and_biases_hold_the_run(tmp_path: Path) -> None:
    train(composed(*SMALL, "logger=wandb", "logger.images=0", "logger.artifacts=true"), tmp_path)
    (artifact,) = of_kind(records(next(tmp_path.glob("wandb/*run-*/*.wandb"))), "artifact")
    sizes = {one["path"]: int(one["size"]) for one in artifact["manifest"]["contents"]}
    assert artifact["type"] == "model" and {"config.yaml", "results.json", "checkpoints/best.ckpt"} <= sizes.keys()
    assert sizes["checkpoints/best.ckpt"] == (tmp_path / "checkpoints/best.ckpt").stat().st_size


def test_mlflow_gets_rows_images_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("VAE_OUTPUT_DIR", str(tmp_path))
    logger = ("logger=mlflow", "logger.every=20", "logger.images=1", "logger.artifacts=true", "name=first")
    results = train(composed(*SMALL, *logger), tmp_path / "run")
    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("vae").experiment_id])
    assert (run.info.run_name, run.info.status, run.data.params["model.latent_dim"]) == ("first", "FINISHED", "2")
    assert run.data.metrics["test/elbo"] == results["test/elbo"]
    epochs = client.get_metric_history(run.info.run_id, "val/elbo")
    assert [(one.step, one.value) for one in epochs][:2] == [
        (row["step"], row["val/elbo"]) for row in rows(tmp_path / "run/metrics.csv")
    ]
    place = Path(client.download_artifacts(run.info.run_id, ""))
    kept = place / "checkpoints/best.ckpt"
    assert kept.read_bytes() == (tmp_path / "run/checkpoints/best.ckpt").read_bytes()
    assert list(place.glob("training/samples/*.png"))
