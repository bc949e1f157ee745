"""Runs that are stopped: the commands, the moments, and the comparison with a run that was not stopped."""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tests.support.commands import fingerprint, fork
from tests.support.runs import results
from vae_cli.runs import checkpoints

SMALL = (
    "dataset=digits", "network.hidden=[16]", "model.latent_dim=2", "evaluate.samples=2", "logger=csv",
    "trainer.accelerator=cpu", "trainer.threads=1",
)  # fmt: skip
VADE = (
    *SMALL, "model=vade", "prior.components=3", "pretraining.epochs=2", "initialisation=gmm",
    "initialisation.fixed_epochs=2", "trainer.max_epochs=2", "dataset.batch_size=40",
)  # fmt: skip
HERE = ("ckpt=last", "hydra.run.dir=run")
OFTEN = "trainer.checkpoint_every=0.0005"
"""Minutes: every few batches."""
TIMES = ("train/seconds", "train/samples_per_second", "wall_seconds", "save_seconds", "starts")


def rows(run: Path) -> list[list[str]]:
    """The cells of metrics.csv but for times."""
    lines = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    kept = [name not in TIMES for name in lines[0]]
    return [[cell for cell, keep in zip(line, kept, strict=True) if keep] for line in lines]


def numbers(run: Path) -> dict[str, Any]:
    """The entries of results.json without times, the git state, and versions, which are of what a start imported."""
    apart = ("git/", "project/", "version/")
    return {name: value for name, value in results(run).items() if name not in TIMES and not name.startswith(apart)}


def state(run: Path, name: str) -> list[tuple[str, Any]]:
    """Everything in a checkpoint but times and paths, flat; tensors as their bytes."""

    def flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
        if isinstance(value, torch.Tensor):
            yield path, (value.dtype, tuple(value.shape), value.numpy().tobytes())
        elif isinstance(value, dict | list | tuple):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from flat(item, f"{path}.{key}")
        else:
            yield path, value

    checkpoint = checkpoints.load(run / "checkpoints" / f"{name}.ckpt")
    skipped = ("seconds", "samples_per_second", "path", ".dirpath", ".best_k_models")
    parts = {key: value for key, value in checkpoint.items() if key != "callbacks"}
    parts |= {f"callback {key}": value for key, value in checkpoint["callbacks"].items()}
    parts["callback History"]["rows"] = json.loads(parts["callback History"]["rows"])
    return [(path, value) for path, value in flat(parts, "") if not any(word in path for word in skipped)]


def assert_same(run: Path, whole: Path, *, figures: bool = False) -> None:
    """Bit for bit, but for times; and nothing half written is left."""
    for name in ("best", "last"):
        assert state(run, name) == state(whole, name)
    assert rows(run) == rows(whole)
    assert numbers(run) == numbers(whole)
    if figures:
        assert fingerprint(run / "figures") == fingerprint(whole / "figures") != {}
    assert not list(run.rglob("*.partial"))


def place(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    return work


def written(file: Path) -> int:
    """When a file was written; 0 if it is not there."""
    return file.stat().st_mtime_ns if file.exists() else 0


def appears(file: Path, earlier: int = 0) -> None:
    """Wait until a file is there, or has been written anew."""
    until = time.monotonic() + 240
    while written(file) == earlier:
        assert time.monotonic() < until, file
        time.sleep(0.005)


def state_of(run: Path) -> str:
    """How far a run has come, in words."""
    last = run / "checkpoints" / "last.ckpt"
    steps = checkpoints.load(last)["global_step"] if last.exists() else 0
    files = [path for path in run.rglob("*") if path.is_file()]
    half = [path.name for path in files if path.name.endswith(".partial")]
    epochs = len(rows(run)) - 1 if (run / "metrics.csv").exists() else 0
    return f"{epochs} epochs, {steps} steps saved, {len(files)} files, half written {half}"


@dataclass(frozen=True)
class Span:
    """A part of a run's life: the seconds from the appearance of a file on, or from the start of the command."""

    begins: str | None
    seconds: float


@dataclass(frozen=True)
class Whole:
    """A run that nothing has interrupted."""

    folder: Path
    starting: Span
    training: Span
    ending: Span

    def moment(self, draw: random.Random) -> Span:
        """A random one, twice as often in training as before or after it."""
        span = draw.choice([self.starting, self.training, self.training, self.ending])
        return replace(span, seconds=span.seconds * draw.random())


def uninterrupted(work: Path) -> Whole:
    """Train in a new folder, and measure the times between its files."""
    work.mkdir()
    fork("vae-train", "--version", folder=work)  # starts the server that the others are forked from
    began, run = time.time(), work / "run"
    done = fork("vae-train", *VADE, "trainer.checkpoint_every=null", *HERE, folder=work)
    assert (done.code, done.err) == (0, "")
    assert results(run)["train/epochs"] == 6
    files = ("config.yaml", "checkpoints/last.ckpt", "results.json")
    first, trained, last = ((run / name).stat().st_mtime for name in files)
    spans = [Span(None, first - began), Span("config.yaml", trained - first), Span("config.yaml", last - first)]
    return Whole(run, *spans)
