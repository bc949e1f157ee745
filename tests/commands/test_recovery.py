"""Faults while a run trains or is evaluated: the line, the exit code, and what is left of the run."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from gzip import compress
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import Done, fingerprint, fork
from tests.support.faults import expect
from tests.support.plugins.fragile import PLUGIN
from vae_cli.runs import checkpoints

SMALL = ("dataset=digits", "network.hidden=[16]", "model.latent_dim=2", "logger=none", "trainer.accelerator=cpu")
TRAIN = ("vae-train", *SMALL, "evaluate.samples=2", "objective._target_=fragile.Fragile", "trainer.limit_batches=3")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a run of three epochs."""
    folder = tmp_path_factory.mktemp("recovery") / "original"
    folder.mkdir()
    done = fork(*TRAIN, "trainer.max_epochs=3", "hydra.run.dir=run", folder=folder, **PLUGIN)
    assert (done.code, done.err) == (0, "")
    assert checkpoints.load(folder / "run/checkpoints/previous.ckpt")["epoch"] == 1
    return folder


@pytest.fixture
def work(original: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(original, tmp_path / "work", symlinks=True))


@pytest.fixture
def disk(work: Path) -> Iterator[Path]:
    """A file system of its own, with the run on it."""
    place = work / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", place]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    shutil.copytree(work / "run", place / "run")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def resume(work: Path, epochs: int = 4, run: str = "run") -> Done:
    return fork("vae-train", f"resume={run}", f"trainer.max_epochs={epochs}", folder=work, **PLUGIN)


def evaluate(work: Path, *arguments: str, run: str = "run", **changes: str) -> Done:
    line = (f"run={run}", "evaluate.samples=2", "trainer.accelerator=cpu", *arguments)
    return fork("vae-eval", *line, folder=work, **PLUGIN, **changes)


def state(run: Path, name: str = "last") -> dict:
    return checkpoints.load(run / "checkpoints" / f"{name}.ckpt")


def test_disk_full_while_training(disk: Path, work: Path) -> None:
    free = shutil.disk_usage(disk).free
    (disk / "filler").write_bytes(bytes(free - 40_000))
    kept = fingerprint(disk / "run" / "checkpoints")
    expect("disk full", resume(work, run="disk/run"))
    assert fingerprint(disk / "run" / "checkpoints") == kept
    (disk / "filler").unlink()
    assert resume(work, run="disk/run").code == 0
    assert json.loads((disk / "run" / "results.json").read_text())["train/epochs"] == 4


def test_read_only_folders(disk: Path, work: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    expect("read-only output folder", fork(*TRAIN, "hydra.run.dir=disk/new", folder=work, **PLUGIN))
    expect("read-only run at evaluation", evaluate(work, run="disk/run"))


def test_output_folder_vanishes(work: Path) -> None:
    (work / "vanish").write_text("gone")
    done = fork(*TRAIN, "trainer.max_epochs=3", "hydra.run.dir=gone", folder=work, **PLUGIN)
    expect("output folder vanishes", done)
    assert not (work / "gone").exists()


def test_last_checkpoint_damaged(work: Path, original: Path) -> None:
    os.truncate(work / "run/checkpoints/last.ckpt", 5000)
    (work / "run/results.json").unlink()  # else it would be done
    expect("last checkpoint damaged", resume(work, epochs=3))
    assert (work / "run/checkpoints/damaged.ckpt").stat().st_size == 5000
    ours, whole = (state(folder / "run")["state_dict"] for folder in (work, original))
    assert all((ours[name] == whole[name]).all() for name in whole)
    results = [json.loads((folder / "run/results.json").read_text()) for folder in (work, original)]
    assert results[0]["test/elbo"] == results[1]["test/elbo"]


def test_both_last_checkpoints_damaged(work: Path) -> None:
    for name in ("last", "previous"):
        (work / f"run/checkpoints/{name}.ckpt").write_bytes(b"damaged")
    before = fingerprint(work / "run")
    expect("both last checkpoints damaged", resume(work))
    assert fingerprint(work / "run") == before


def test_best_checkpoint_damaged(work: Path) -> None:
    best = work / "run/checkpoints/best.ckpt"
    content = bytearray(best.read_bytes())
    content[len(content) // 2] ^= 1
    best.write_bytes(content)
    before = fingerprint(work / "run")
    expect("one bit of a checkpoint changed", evaluate(work))
    os.truncate(best, 500)
    expect("best checkpoint damaged, evaluation", evaluate(work))
    assert {**fingerprint(work / "run"), "checkpoints/best.ckpt": ""} == {**before, "checkpoints/best.ckpt": ""}
    assert evaluate(work, "ckpt=previous").code == 0
    expect("best checkpoint damaged, resume", resume(work))
    assert state(work / "run", "best")["epoch"] == 3


DATA = {
    "damaged data, npz": b"PK\3\4 no archive",
    "data of a wrong shape": np.zeros(200),
    "NaN in the data": np.where(np.arange(200)[:, None] == 7, np.nan, np.zeros((200, 4))),
}


@pytest.mark.parametrize("fault", DATA)
def test_own_data(fault: str, tmp_path: Path) -> None:
    content = DATA[fault]
    if isinstance(content, bytes):
        (tmp_path / "data.npz").write_bytes(content)
    else:
        np.savez(tmp_path / "data.npz", x=content)
    expect(fault, fork("vae-train", "dataset=array", "dataset.path=data.npz", *SMALL[1:], folder=tmp_path))


def test_own_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "images" / name).write_text("no picture")
    done = fork("vae-train", "dataset=image_folder", "dataset.path=images", *SMALL[1:], folder=tmp_path)
    expect("image that cannot be read", done)


IDX = {
    "not compressed": lambda: b"\0\0\x08\3",
    "larger than any idx file": lambda: compress(bytes(2**28 + 1), 1),
    "cut off": lambda: compress(bytes(999))[:20],
}


@pytest.mark.parametrize(
    "content", [pytest.param(one, marks=[pytest.mark.slow] * one.startswith("larger")) for one in IDX]
)
def test_damaged_idx(content: str, tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(IDX[content]())
    expect("damaged data, idx", fork("vae-train", "dataset=mnist", "dataset.root=.", *SMALL[1:], folder=tmp_path))


def test_loss_that_is_not_finite(work: Path) -> None:
    (work / "diverge").touch()
    kept = fingerprint(work / "run/checkpoints")
    expect("NaN or infinite loss", resume(work))
    assert fingerprint(work / "run/checkpoints") == kept


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        (["trainer.compile=false"], "NaN in a gradient"),
        pytest.param(
            ["trainer.accumulate_grad_batches=2", "trainer.limit_batches=4"],
            "NaN in a gradient",
            marks=pytest.mark.slow,
        ),
        (["trainer.limit_batches=2"], "NaN in the last gradient of an epoch"),
    ],
)
def test_gradient_that_is_not_finite(extra: list[str], fault: str, work: Path) -> None:
    (work / "poison").touch()
    line = dict(word.split("=", 1) for word in [*TRAIN[1:], *extra])
    done = fork(
        "vae-train", *map("=".join, line.items()), "trainer.max_epochs=3", "hydra.run.dir=new", folder=work, **PLUGIN
    )
    expect(fault, done)
    for name in ("last", "best"):
        found = state(work / "new", name)
        assert found["epoch"] == 0
        assert all(value.isfinite().all() for value in found["state_dict"].values())


@pytest.mark.slow
def test_out_of_memory_in_evaluation(work: Path) -> None:
    settings = ("evaluate.samples=2000", "trainer.threads=1")
    done = evaluate(work, *settings, "evaluate.memory_mb=1024", HEADROOM_MB="400")
    expect("out of memory in evaluation", done)
    megabytes = int(done.err.partition("evaluate.memory_mb=")[2].split()[0])
    assert megabytes in (512, 256, 128, 64)
    assert evaluate(work, *settings, f"evaluate.memory_mb={megabytes}").err == ""
    first, second = sorted((work / "run/evaluations").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    ours, wanted = (json.loads(file.read_text()) for file in (first, second))
    assert {n: v for n, v in ours.items() if n.startswith("test/")} == {
        n: v for n, v in wanted.items() if n.startswith("test/")
    }


def test_wandb_out_of_reach(work: Path) -> None:
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        server = {"WANDB_BASE_URL": f"http://127.0.0.1:{closed.getsockname()[1]}", "WANDB_INIT_TIMEOUT": "1"}
        key = {"WANDB_API_KEY": "0" * 40, "WANDB_MODE": "online"}
        line = [word for word in TRAIN if not word.startswith("logger")]
        line += ["logger=wandb", "trainer.max_epochs=1", "hydra.run.dir=new"]
        done = fork(*line, folder=work, **PLUGIN, **server, **key)
    expect("W&B out of reach", done)
    assert list((work / "new/wandb").glob("offline-run-*/*.wandb"))
    assert json.loads((work / "new/results.json").read_text())["status"] == "done"
