"""Milliseconds of the steps that jobs of the default network take together; the first argument counts jobs."""

import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from tests.support.configs import composed
from tests.support.training import train
from vae_cli.sweeps.together import run_together
from vae_cli.training.together import Conductor, Member

SHORT = ["trainer.accelerator=auto", "trainer.max_epochs=2", "trainer.limit_batches=200", "evaluate.samples=2"]


class Timed(Conductor):
    """A conductor that prints the time of the joint steps of each block, with the wait for the device."""

    def _advance(self, alike: list[Member]) -> None:
        first = min(alike, key=lambda member: member.number)
        before, began = first.number, time.perf_counter()
        super()._advance(alike)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if taken := first.number - before:
            spent = 1000 * (time.perf_counter() - began) / taken
            print(f"{len(alike)} jobs: {taken} steps of {spent:.2f} ms", file=sys.stderr)


if __name__ == "__main__":
    config = composed(*SHORT, *sys.argv[2:])
    with tempfile.TemporaryDirectory() as folder:
        seeds = range(int(sys.argv[1]))
        run_together([partial(train, replace(config, seed=seed), Path(folder) / str(seed)) for seed in seeds], Timed())
