"""Runs whose files were changed, cut short or taken away: one line, a code, and the run as it was."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from tests.support.commands import fingerprint, fork
from tests.support.faults import one_line

SMALL = ("trainer.max_epochs=1", "evaluate.samples=2", "trainer.accelerator=cpu", "logger=none", "model.latent_dim=2")
EVAL, SAMPLE = "vae-eval", "vae-sample"
MORE = ["resume=run", "trainer.max_epochs=2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a finished run on data.npz."""
    folder = tmp_path_factory.mktemp("tampering") / "work"
    folder.mkdir()
    np.savez(folder / "data.npz", x=np.random.default_rng(0).random((200, 4)))
    line = ("dataset=array", "dataset.path=data.npz", "hydra.run.dir=run", *SMALL)
    done = fork("vae-train", *line, folder=folder)
    assert (done.code, done.err) == (0, "")
    return folder


@pytest.fixture
def run(place: Path) -> Iterator[Path]:
    """The finished run, which a test may tamper with; afterwards it is as it was."""
    kept = {file: file.read_bytes() for file in [place / "data.npz", *(place / "run").rglob("*")] if file.is_file()}
    yield place / "run"
    for file, content in kept.items():
        file.write_bytes(content)


def damage(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


TAMPERED = [
    ("config.yaml", "vae_cli.objectives.ELBO", "os.system", 2, "objective._target_=os.system"),
    (
        "config.yaml",
        "vae_cli.models.model.LatentVariableModel",
        "vae_cli.models.model.LatentVariableModelE",
        2,
        "LatentVariableModel",
    ),
    ("config.yaml", "latent_dim: 2", "latent_dim: two", 2, "model.latent_dim=two: "),
    ("config.yaml", "latent_dim: 2", "latent_dim: 3", 1, "best.ckpt: does not fit"),
    ("config.yaml", "latent_dim: 2", "latent_dim: [2", 2, "config.yaml"),
]


@pytest.mark.parametrize(("name", "old", "new", "code", "part"), TAMPERED, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("command", [EVAL, pytest.param(SAMPLE, marks=pytest.mark.slow)])
def test_a_run_that_was_tampered_with(
    command: str, name: str, old: str, new: str, code: int, part: str, run: Path
) -> None:
    damage(run / name, old, new)
    before = fingerprint(run)
    one_line(fork(command, "run=run", folder=run.parent), code, f"{command}: error: ", part)
    assert fingerprint(run) == before


@pytest.mark.parametrize(
    ("file", "size", "command", "arguments", "part"),
    [
        ("checkpoints/best.ckpt", 500, EVAL, ["run=run"], "best.ckpt: not a readable checkpoint"),
        ("checkpoints/best.ckpt", 0, SAMPLE, ["run=run"], "best.ckpt: not a readable checkpoint"),
        ("checkpoints/last.ckpt", 500, "vae-train", MORE, "last.ckpt: not a readable checkpoint"),
        ("../data.npz", 500, "vae-train", MORE, "data.npz: not a readable .npz file"),
        ("../data.npz", 500, EVAL, ["run=run"], "data.npz: not a readable .npz file"),
        ("../data.npz", None, EVAL, ["run=run"], "no longer the data in"),
        ("results.json", None, EVAL, ["run=run", "ckpt=run/config.yaml"], "config.yaml: not a readable checkpoint"),
    ],
)
def test_files_cut_short_or_exchanged(
    file: str, size: int | None, command: str, arguments: list[str], part: str, run: Path
) -> None:
    if size is not None:
        os.truncate(run / file, size)
    elif file.endswith(".npz"):
        np.savez(run / file, x=np.zeros((200, 4)))
    before = fingerprint(run)
    one_line(fork(command, *arguments, folder=run.parent), 1, f"{command}: error: ", part)
    assert fingerprint(run) == before


def test_a_run_that_another_process_trains(run: Path) -> None:
    before = fingerprint(run)
    with FileLock(run / ".lock"):
        done = fork("vae-train", *MORE, folder=run.parent)
    one_line(done, 2, "run: another process is training in this folder")
    assert fingerprint(run) == before


def test_evaluations_and_samples_that_cannot_be_written(run: Path) -> None:
    for name, command in (("evaluations", EVAL), ("samples", SAMPLE)):
        (run / name).touch()
        done = fork(command, "run=run", folder=run.parent)
        (run / name).unlink()
        one_line(done, 1, f"run/{name}")
