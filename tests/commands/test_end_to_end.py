"""The console commands from the first keystroke to the last file, on scikit-learn's digits."""

import csv
import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from tests.support.commands import Done, environment, fingerprint, fork, line
from tests.support.runs import results
from tests.support.wandb_files import of_kind, records
from vae_cli.runs.folder import RunFolder

SMALL = ("dataset=digits", "network.hidden=[32]", "model.latent_dim=4", "evaluate.samples=5", "trainer.accelerator=cpu")
MEANS = ("elbo", "distortion", "rate", "iw_log_likelihood", "bits_per_dim", "effective_sample_size")
POINTS = [8, 16, 24, 32, 39, 47, 55, 63, 71, 78]
"""Steps that complete a tenth of 78."""
PANELS = ("training/reconstructions", "figures/samples", "figures/reconstructions", "figures/traversals")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A finished run in `run` below a working directory, W&B offline, and what its command printed."""
    work = tmp_path_factory.mktemp("end_to_end") / "work"
    work.mkdir()
    named = ("name=first", "tags=[a,b]", "hydra.run.dir=run")
    return work, fork("vae-train", *SMALL, "trainer.max_epochs=2", *named, folder=work, FIGURES="yes")


@pytest.fixture
def run(finished: tuple[Path, Done], tmp_path: Path) -> Path:
    """A copy of the run, which a test may change."""
    return Path(shutil.copytree(finished[0], tmp_path / "work", symlinks=True)) / "run"


def epochs(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))


def test_a_run_prints_a_line_an_epoch_and_a_table(finished: tuple[Path, Done]) -> None:
    _, done = finished
    assert (done.code, done.err) == (0, "")
    assert "\r" not in done.out and "\x1b" not in done.out
    assert len(re.findall(r"^ +left  train/loss +val/elbo  val/distortion +val/rate  examples/s$", done.out, re.M)) == 1
    assert len(re.findall(r"^epoch [12]/2  +0:\d\d( +-?[\d.]+){4} +[\d,]+$", done.out, re.M)) == 2
    for name in MEANS:
        assert f" test/{name} " in done.out
    *_, written, evaluate, sample, resume, report, sync = done.out.splitlines()
    assert written.startswith("written to run: ")
    for name in ("results.json", "metrics.csv", "figures/", "checkpoints/", "config.yaml"):
        assert name in written
    assert evaluate == "next: vae-eval run=run evaluate=paper"
    assert (sample.strip(), report.strip()) == ("vae-sample run=run", "vae-report run")
    assert resume.strip() == "vae-train resume=run trainer.max_epochs=4"
    assert re.fullmatch(r" +wandb sync run/wandb/offline-run-[\w-]+", sync)


def test_a_run_begins_with_a_header(finished: tuple[Path, Done]) -> None:
    _, done = finished
    before, _, _ = done.out.partition("train/loss")
    header = dict(line.split(maxsplit=1) for line in before.splitlines()[:-1])
    assert header["run"] == "run" and header["likelihood"] == "bernoulli"
    assert header["model"].startswith("vae, ") and "posterior diagonal" in header["model"]
    assert header["objective"].startswith("elbo, beta=1") and "2 epochs" in header["objective"]
    assert header["examples"] == "1,238 train, 200 val, 359 test; 1 x 8 x 8, binary"
    assert int(header["parameters"].replace(",", "")) == results(finished[0] / "run")["model/parameters"]
    assert header["device"].startswith("CPU, 32-true, ") or "32-true" in header["device"]


def test_the_log_holds_what_the_terminal_shows(finished: tuple[Path, Done]) -> None:
    """With times; libraries write warnings only."""
    work, done = finished
    log = (work / "run" / "vae-train.log").read_text()
    for text in done.out.splitlines():
        assert text.strip() in log
    begins = re.findall(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (\w+) (\S+): ", log, re.M)
    assert len(begins) >= 10 and {level for level, name in begins if name != "vae_cli"} <= {"WARNING"}
    assert json.loads((work / "run" / "status.json").read_text())["state"] == "done"


def test_a_run_leaves_its_files(run: Path) -> None:
    for name in ("config.yaml", "overrides.yaml", "vae-train.log", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        assert (run / name).is_file(), name
    assert not list(run.rglob("*partial*"))
    for name in ("reconstructions", "samples", "traversals", "latent_space", "training_curves"):
        with Image.open(run / "figures" / f"{name}.png") as image:
            image.verify()
    config = OmegaConf.load(run / "config.yaml")
    assert (config.trainer.max_epochs, config.model.latent_dim, config.network.hidden) == (2, 4, [32])
    assert [row["epoch"] for row in epochs(run)] == ["1", "2"]


def test_results_have_their_documented_keys(run: Path) -> None:
    numbers = results(run)
    expected = {f"test/{name}" for name in (*MEANS, "iw_samples", "active_units")}
    expected |= {f"test/{name}_se" for name in MEANS}
    expected |= {f"version/{name}" for name in ("vae-cli", "torch", "pytorch-lightning", "hydra-core", "python")}
    expected |= {"status", "seed", "train/samples_per_second", "data/sha256", "git/commit", "wall_seconds"}
    assert {*expected, "model/parameters"} <= set(numbers)
    assert (numbers["status"], numbers["seed"], numbers["test/iw_samples"]) == ("done", 0, 5)
    encoder, decoder = 64 * 32 + 32 + 2 * (32 * 4 + 4), 4 * 32 + 32 + 32 * 64 + 64
    assert numbers["model/parameters"] == encoder + decoder
    assert re.fullmatch(r"[0-9a-f]{64}", numbers["data/sha256"])
    assert all(numbers[name] > 0 for name in ("train/samples_per_second", "wall_seconds"))


def test_the_offline_wandb_file_holds_everything(run: Path) -> None:
    file = next(run.glob("wandb/offline-run-*/*.wandb"))
    found = records(file)
    described = of_kind(found, "run")[0]
    config = OmegaConf.to_container(RunFolder(run).config())
    update = described["config"]["update"]
    assert {name: update[name] for name in config} == config
    assert (described["display_name"], described["tags"]) == ("first", ["a", "b"])
    assert update["overrides"] == [*SMALL, "trainer.max_epochs=2", "name=first", "tags=[a,b]"]
    assert (run / "config.yaml").read_text().startswith("# vae-train dataset=digits ")
    rows = [item["item"] for item in of_kind(found, "history")]
    logged = [row for row in rows if "val/elbo" in row]
    assert [row["val/elbo"] for row in logged] == [float(row["val/elbo"]) for row in epochs(run)]
    assert [row["train/loss"] for row in logged] == [float(row["train/loss"]) for row in epochs(run)]
    assert [(row["epoch"], row["step"]) for row in logged] == [(1, 39), (2, 78)]
    slider = [row for row in rows if "training/samples.path" in row]
    assert [(row["epoch"], row["step"]) for row in slider] == [(1 + (step > 39), step) for step in POINTS]
    panels = {name: row for row in rows for name in PANELS if f"{name}.path" in row}
    assert set(panels) == set(PANELS)
    for name, row in panels.items():
        with Image.open(file.parent / "files" / row[f"{name}.path"]) as image:
            assert image.size == (row[f"{name}.width"], row[f"{name}.height"])
    summary = {name: value for update in of_kind(found, "summary") for name, value in update["update"].items()}
    assert summary["test/elbo"] == results(run)["test/elbo"]
    assert of_kind(found, "exit")[0]["exit_code"] == 0


def evaluation(run: Path, *arguments: str) -> dict[str, Any]:
    """The numbers of a vae-eval, which leaves the run itself alone."""
    before = fingerprint(run)
    done = fork("vae-eval", "run=run", "trainer.accelerator=cpu", *arguments, folder=run.parent)
    assert (done.code, done.err) == (0, ""), done.err
    after = fingerprint(run)
    assert before.items() <= after.items()
    written = [run / name for name in after.keys() - before.keys() if name.endswith(".json")]
    assert len(written) == 1
    assert f"written to {written[0].relative_to(run.parent)}" in done.out
    return json.loads(written[0].read_text())


def test_vae_eval_repeats_and_varies_the_evaluation(run: Path) -> None:
    same = evaluation(run, "evaluate.samples=5")
    for name in MEANS:
        assert same[f"test/{name}"] == pytest.approx(results(run)[f"test/{name}"], rel=1e-6)
    other = evaluation(run, "evaluate.samples=20", "evaluate.split=val", "ckpt=last")
    assert other["val/iw_samples"] == 20
    assert "test/elbo" not in other
    assert other["checkpoint"].endswith("last.ckpt")
    prior = evaluation(run, "evaluate.samples=20", "evaluate.estimator=prior")
    assert prior["evaluate/estimator"] == "prior"
    assert prior["test/elbo"] == pytest.approx(same["test/elbo"], abs=4 * same["test/elbo_se"])
    assert prior["test/mc_samples"] == 20 and "test/iw_log_likelihood" not in prior
    assert prior["test/mc_log_likelihood"] < 0


def test_vae_eval_measures_the_inference_gaps(run: Path) -> None:
    few = {"images": 10, "temperatures": 30, "refine_steps": 30, "elbo_samples": 200, "iw_samples": 50}
    found = evaluation(run, "evaluate=gaps", "evaluate.samples=5", *(f"evaluate.gaps.{k}={v}" for k, v in few.items()))
    assert found["gaps/images"] == 10 and found["evaluate/gaps/temperatures"] == 30
    assert found["gaps/amortisation"] == pytest.approx(found["gaps/refined_elbo"] - found["gaps/elbo"])
    assert found["gaps/approximation"] + found["gaps/refined_elbo"] == pytest.approx(found["gaps/ais_log_likelihood"])
    assert found["gaps/elbo"] <= found["gaps/iw_log_likelihood"] + 3 * found["gaps/elbo_se"]
    difference = found["gaps/ais_log_likelihood"] - found["gaps/refined_iw_log_likelihood"]
    assert found["gaps/ais_over_refined_iw"] == pytest.approx(difference)


def test_vae_sample_draws_pictures_and_numbers(run: Path) -> None:
    done = fork("vae-sample", "run=run", "n=16", folder=run.parent)
    assert (done.code, done.err) == (0, "")
    stem = run / "samples" / "best_n16_seed0"
    with Image.open(stem.with_suffix(".png")) as image:
        image.verify()
    with np.load(stem.with_suffix(".npz")) as arrays:
        assert arrays["z"].shape == (16, 4)
        assert arrays["x"].shape == arrays["mean"].shape == (16, 1, 8, 8)
        assert set(np.unique(arrays["x"])) == {0.0, 1.0}
        assert 0 < arrays["mean"].min() < arrays["mean"].max() < 1
        first = arrays["x"]
    assert fork("vae-sample", "run=run", "n=16", folder=run.parent).code == 0
    with np.load(stem.with_suffix(".npz")) as arrays:
        assert np.array_equal(arrays["x"], first)


def on_a_terminal(command: str, *arguments: str, folder: Path) -> tuple[int, str]:
    """Run a command on a terminal of its own: its exit code and everything it wrote there."""
    ours, theirs = pty.openpty()
    settings = {"cwd": folder, "env": environment(TERM="xterm-256color", COLUMNS="80", LINES="40")}
    process = subprocess.Popen(line(command, *arguments), stdin=theirs, stdout=theirs, stderr=theirs, **settings)
    os.close(theirs)
    written = bytearray()
    while True:
        try:
            chunk = os.read(ours, 1 << 16)
        except OSError:  # how Linux says that the other end has been closed
            break
        if not chunk:
            break
        written += chunk
    os.close(ours)
    return process.wait(60), written.decode()


def test_a_run_goes_on_in_its_folder_on_a_terminal(run: Path) -> None:
    before, rows, files = results(run), epochs(run), set(fingerprint(run))
    code, shown = on_a_terminal("vae-train", "resume=last", "trainer.max_epochs=3", folder=run.parent)
    assert code == 0, shown
    assert "\r" in shown
    assert "━" in shown and re.search(r"epoch 3/3", shown)
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown)
    assert re.search(r"epoch 3/3  +\d:\d\d( +-?[\d.]+){4} +[\d,]+(?=\r?\n)", plain)
    drawn = [line for line in plain.replace("\r", "\n").splitlines() if "━" in line or line.startswith("epoch")]
    assert max(map(len, drawn)) <= 80
    for work in ("importing torch", "loading the data", "evaluating the test split", "figures"):
        assert f"{work} ━" in plain
    assert plain.index("test/elbo") > plain.index("epoch 3/3")
    assert len(epochs(run)) == 3
    assert epochs(run)[:2] == rows
    assert OmegaConf.load(run / "config.yaml").trainer.max_epochs == 3
    assert results(run)["train/steps"] == 117 and before["train/steps"] == 78
    assert files <= set(fingerprint(run))
    legs = sorted(run.glob("wandb/offline-run-*/*.wandb"))
    assert len(legs) == 2 and legs[0].name == legs[1].name
