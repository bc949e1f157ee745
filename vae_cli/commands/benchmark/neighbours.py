"""`make bench`, the total speed of runs side by side on this machine, and the speed of one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vae_cli.commands.benchmark.contestants import Program
from vae_cli.distributed.cores import SPIN_VARIABLES

TRAIN = (sys.executable, "-c", "from vae_cli.cli import train; train()", "logger=none")
LINE = (*TRAIN, "trainer=cpu", "trainer.max_epochs=6", "trainer.limit_batches=200", "evaluate.samples=1")
SWEEP = (
    *TRAIN, "-m", "dataset=digits", "network.hidden=[64]", "model.latent_dim=8", "trainer.max_epochs=20",
    "objective.beta=1,2,4", "seed=0,1,2,3",
)  # fmt: skip
AS_IT_IS = {"GOMP_SPINCOUNT": "300000"}
"""The default of libgomp."""


def _train(folder: Path, *overrides: str, **changes: str) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if name not in (*SPIN_VARIABLES, "OMP_NUM_THREADS")}
    place = kept | {"VAE_OUTPUT_DIR": str(folder)} | changes
    return subprocess.Popen([*LINE, *overrides], env=place, stdout=subprocess.DEVNULL)


def _rate(folder: Path) -> float:
    """Images a second of all runs in a folder: their sum, over the longest training time."""
    runs = [json.loads(file.read_text()) for file in folder.rglob("results.json")]
    images = [run["train/steps"] * 128 for run in runs]
    seconds = [n / run["train/samples_per_second"] for n, run in zip(images, runs, strict=True)]
    return sum(images) / max(seconds)


def runs(count: int, *overrides: str, **changes: str) -> Program:
    """`count` commands started at once."""

    def rate() -> float:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for process in [_train(folder / str(n), *overrides, **changes) for n in range(count)]:
                if process.wait():
                    raise RuntimeError("a run of the benchmark has failed")
            return _rate(folder)

    return rate


def sweep(*overrides: str) -> Program:
    """Jobs an hour of a sweep of twelve, from the start of the command to the last figure."""

    def rate() -> float:
        with tempfile.TemporaryDirectory() as folder:
            began, place = time.perf_counter(), os.environ | {"VAE_OUTPUT_DIR": folder}
            subprocess.run([*SWEEP, *overrides], env=place, stdout=subprocess.DEVNULL, check=True)
            return 12 * 3600 / (time.perf_counter() - began)

    return rate


def sweeps() -> dict[str, Program]:
    """A sweep on digits, 3 betas times 4 seeds, by its launcher."""
    return {"one after another": sweep(), "hydra/launcher=together": sweep("hydra/launcher=together")}


def starts() -> dict[str, Program]:
    """Milliseconds of imports alone, and of a command up to the end of an epoch of one step on digits."""
    step = (*TRAIN, "dataset=digits", "figures=[]", "trainer.max_epochs=1", "trainer.limit_batches=1")
    return {
        "imports alone": partial(_until, (sys.executable, "-c", "import torch, pytorch_lightning; print('epoch')")),
        "vae-train dataset=digits": partial(_until, step),
    }


def _until(command: Sequence[str]) -> float:
    """Milliseconds until a command prints a line of an epoch."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        place = os.environ | {"VAE_OUTPUT_DIR": folder}
        with subprocess.Popen(command, env=place, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            next(line for line in process.stdout if line.startswith("epoch"))
            taken = 1000 * (time.perf_counter() - began)
            process.stdout.read()
    return taken


def programs() -> dict[str, Program]:
    """The compared settings; the first two are a single run."""
    all_cores = f"trainer.threads={os.cpu_count()}"
    return {
        "one run": runs(1),
        "one run, OpenMP as it is": runs(1, **AS_IT_IS),
        "two runs started together": runs(2),
        "two runs with all threads each, OpenMP as it is": runs(2, all_cores, **AS_IT_IS),
        "two jobs, hydra/launcher=submitit_local": runs(1, "-m", "seed=0,1", "hydra/launcher=submitit_local"),
        "two jobs, hydra/launcher=joblib": runs(1, "-m", "seed=0,1", "hydra/launcher=joblib"),
    }
