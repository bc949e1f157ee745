"""Wrong input of the commands that apply a trained model: one line each, and no file."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.commands import fork
from tests.support.configs import composed
from tests.support.front import refuse
from tests.support.training import train


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a run `digits`, whose prior is a mixture."""
    folder = tmp_path_factory.mktemp("apply") / "work"
    folder.mkdir()
    small = ("trainer.max_epochs=1", "evaluate.samples=2", "network.hidden=[16]", "model.latent_dim=3")
    train(composed("dataset=digits", "prior=mixture", "prior.components=4", *small), folder / "digits")
    return folder


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["between=[test:3]"], "between has 1 example"),
        (["between=[test:3,test:8]", "temperature=0.5"], "no temperature"),
        (["temperature=0"], "temperature"),
        (["component=9"], "use component=0 to 3"),
        (["out=a.txt"], ".csv, .parquet, .npz"),
    ],
)
def test_faults_of_a_sampling(
    work: Path, arguments: list[str], part: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(work)
    assert part in refuse(monkeypatch, capsys, "run=digits", *arguments, command="sample")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["data=gone.npy", "out=a.csv"], ["data=gone.npy", "no such file", "data=test"]),
        (["data=test", "out=a.txt"], ["out=a.txt", ".csv, .parquet, .npz"]),
        (["data=test", "out=gone/a.csv"], ["no folder gone"]),
        (["data=test", "out=there.csv"], ["exists already"]),
        (["data=test"], ["out: needs a value"]),
        (["data=test", "out=a.csv", "samples=0"], ["samples", "> 0"]),
        (["data=test", "out=a.csv", "dataset.path=x"], ["have no such key"]),
    ],
)
def test_faults_of_a_command_line(
    work: Path, arguments: list[str], parts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(work)
    (work / "there.csv").touch()
    message = refuse(monkeypatch, capsys, "run=digits", *arguments, command="score")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("x", "parts"),
    [
        (np.zeros((4, 7)), ["shape (4, 7)", "takes (N, 1, 8, 8)"]),
        (np.full((4, 8, 8), 1.5), ["x.npy", "row 0 holds 1.5", "convert it as the training data"]),
        (np.full((4, 8, 8), np.nan), ["row 0"]),
    ],
)
def test_faults_of_the_data(work: Path, tmp_path: Path, x: np.ndarray, parts: list[str]) -> None:
    np.save(tmp_path / "x.npy", x)
    done = fork("vae-encode", f"run={work}/digits", f"data={tmp_path}/x.npy", f"out={tmp_path}/a.csv", folder=work)
    assert done.code == 1 and len(done.err.splitlines()) == 1, done.err
    for part in parts:
        assert part in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize(
    ("posterior", "command", "word"),
    [
        ("NoEncoder", "encode", "inference of z from x"),
        ("NoEncoder", "reconstruct", "inference of z from x"),
        ("Deterministic", "score", "a density q(z|x)"),
    ],
)
def test_a_model_without_the_capability_is_refused(
    work: Path, tmp_path: Path, posterior: str, command: str, word: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run = Path(shutil.copytree(work / "digits", tmp_path / "run"))
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("posteriors.Diagonal", f"posteriors.{posterior}"))
    monkeypatch.chdir(tmp_path)
    message = refuse(monkeypatch, capsys, "run=run", "data=test", "out=a.csv", command=command)
    assert word in message and posterior in message and "posterior=" in message
