"""`make bench`: training and evaluation speed beside a plain loop, Lightning with a DataLoader, and pythae, in one run.

Every program trains one MLP with ReLU, batch 128, Adam, float32 by default. Contestants have a process each. Programs
alternate by epoch, so that a drift of the machine affects all; medians over the rounds, ratios of medians.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from vae_cli.commands.benchmark import curves, images, neighbours, pythae
from vae_cli.commands.benchmark.contestants import Contestant, Program
from vae_cli.commands.benchmark.loops import (
    DEFAULT,
    DEVICE,
    DIGITS,
    SMALL,
    Task,
    bytes_below_noise,
    lightning_loader,
    plain_loop,
)  # fmt: skip
from vae_cli.commands.benchmark.runner import likelihood, prepare, training_epoch
from vae_cli.errors import counted
from vae_cli.training.loggers import quiet_libraries

RUNNER, LIKE_RUNNER = Contestant(prepare), Contestant(prepare)
PLAIN, LIGHTNING, PYTHAE = Contestant(), Contestant(quiet_libraries), Contestant()


def training(task: Task) -> dict[str, Program]:
    """Programs that train one network, an epoch at a call."""
    return {
        "this runner": RUNNER.program(training_epoch, *task.overrides),
        "plain loop": PLAIN.program(plain_loop, task),
        "plain loop, noise of this runner": PLAIN.program(plain_loop, task, bytes_below_noise),
        "plain loop, noise and settings of this runner": LIKE_RUNNER.program(plain_loop, task, bytes_below_noise),
        "Lightning + DataLoader": LIGHTNING.program(lightning_loader, task, 0),
        "pythae": PYTHAE.program(pythae.loop, task),
    }


def default() -> dict[str, Program]:
    """The programs of the default network, with further settings of this runner and of Lightning."""
    return training(DEFAULT) | {
        "this runner, trainer=fast": RUNNER.program(training_epoch, *DEFAULT.overrides, "trainer=fast"),
        "this runner, trainer.compile=true": RUNNER.program(training_epoch, *DEFAULT.overrides, "trainer.compile=true"),
        "Lightning + DataLoader, 2 workers": LIGHTNING.program(lightning_loader, DEFAULT, 2),
    }


def convolutional(folder: Path) -> dict[str, Program]:
    """Programs that train the convolutional default on images of 64 x 64 x 3, an epoch at a call."""
    overrides = images.overrides(folder)
    return {
        "this runner": RUNNER.program(training_epoch, *overrides),
        "this runner, trainer=fast": RUNNER.program(training_epoch, *overrides, "trainer=fast"),
        "plain loop": PLAIN.program(images.plain_loop, *overrides),
        "plain loop, settings of this runner": LIKE_RUNNER.program(images.plain_loop, *overrides),
    }


def likelihoods() -> dict[str, Program]:
    """Programs that compute importance-weighted log-likelihoods."""
    return {
        "this runner": RUNNER.program(likelihood),
        "this runner, trainer=fast": RUNNER.program(likelihood, "trainer=fast"),
        "pythae get_nll": PYTHAE.program(pythae.likelihood),
    }


def measure(programs: dict[str, Program], rounds: int) -> dict[str, list[float]]:
    """Rates of each program by round, after one round for warming up."""
    rates: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(rounds + 1):
        for name, run in programs.items():
            print(f"  round {turn}/{rounds}: {name:<60}", end="\r", file=sys.stderr, flush=True)
            rate = run()
            if turn:
                rates[name].append(rate)
    return rates


def report(title: str, unit: str, rates: dict[str, list[float]], references: list[str]) -> None:
    """Medians, ranges and ratios."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("")
    for column in (f"{unit} (median)", "range", *(f"x {name}" for name in references)):
        table.add_column(column, justify="right")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        ratios = [f"{medians[name] / medians[reference]:.2f}" for reference in references]
        table.add_row(name, f"{medians[name]:,.0f}", f"{min(values):,.0f} - {max(values):,.0f}", *ratios)
    Console(width=120).print(table)


def main(rounds: int = 5) -> None:
    """Measure everything and print the tables."""
    os.environ["PYTHONWARNINGS"] = "ignore"  # in the processes of all contestants
    card = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "no GPU"
    threads = counted(torch.get_num_threads(), "thread")
    print(f"{card}, {threads}, torch {torch.__version__}, {counted(rounds, 'round')}")
    references = ["plain loop", "Lightning + DataLoader", "pythae"]
    report("Training, 784-512-512-32", "images/s", measure(default(), rounds), references)
    report("Training, 784-64-8", "images/s", measure(training(SMALL), rounds), references)
    report("Training, digits, 64-64-8", "images/s", measure(training(DIGITS), rounds), references)
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(convolutional(Path(folder)), rounds)
    report("Training, convolutional default, 64 x 64 x 3", "images/s", rates, ["plain loop"])
    report("Importance-weighted log-likelihood", "pairs/s", measure(likelihoods(), rounds), ["pythae get_nll"])
    sweeps = measure(neighbours.sweeps(), rounds)
    report("A sweep of twelve jobs, with evaluation and figures", "jobs/hour", sweeps, ["one after another"])
    report("Seconds to the first step, digits", "ms", measure(neighbours.starts(), rounds), ["imports alone"])
    costs = measure(curves.programs(RUNNER), 1)
    report("Cost of a step", "steps/s", costs, [])
    print(f"figure: {curves.draw(costs)}")
    if DEVICE.type == "cpu":
        together = measure(neighbours.programs(), rounds)
        report("Runs side by side", "images/s, all together", together, ["one run", "one run, OpenMP as it is"])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
