"""`make bench`: training and evaluation speed beside a plain loop, Lightning with a DataLoader, and pythae, in one run.

Every program trains one MLP with ReLU, batch 128, Adam, float32 by default. Programs alternate by epoch, so that a
drift of the machine affects all; medians over the rounds, ratios of medians.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from vae_cli.commands.benchmark import curves, images, neighbours, pythae
from vae_cli.commands.benchmark.loops import (
    BATCH,
    DEFAULT,
    DEVICE,
    SMALL,
    Widths,
    bytes_below_noise,
    lightning_loader,
    plain_loop,
)  # fmt: skip
from vae_cli.commands.benchmark.runner import configure, likelihood, training_epoch
from vae_cli.datasets import Data
from vae_cli.distributed.machine import keep_freed_memory
from vae_cli.errors import counted
from vae_cli.training.loggers import quiet_libraries


def training(data: Data, widths: Widths, *overrides: str) -> dict[str, Callable[[], float]]:
    """Programs that train one network, an epoch at a call."""
    return {
        "this runner": training_epoch(data, *widths.overrides, f"dataset.batch_size={BATCH}", *overrides),
        "plain loop": plain_loop(data, widths),
        "plain loop, noise of this runner": plain_loop(data, widths, bytes_below_noise),
        "Lightning + DataLoader": lightning_loader(data, widths, 0),
        "pythae": pythae.loop(data, widths),
    }


def convolutional() -> dict[str, Callable[[], float]]:
    """Programs that train the convolutional default on images of 64 x 64 x 3, an epoch at a call."""
    with tempfile.TemporaryDirectory() as folder:
        path = images.image_file(Path(folder))
        overrides = ["dataset=array", f"dataset.path={path}", "model=conv_vae", "likelihood=discretised_logistic"]
        overrides += [f"dataset.batch_size={BATCH}", "dataset.val_size=128", "dataset.domain=levels"]
        config = configure(*overrides)
        data: Data = config.dataset.build().load()
        return {
            "this runner": training_epoch(data, *overrides),
            "this runner, trainer=fast": training_epoch(data, *overrides, "trainer=fast"),
            "plain loop": images.plain_loop(data, config),
        }


def measure(programs: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
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
    quiet_libraries()
    warnings.simplefilter("ignore")
    keep_freed_memory()
    data: Data = configure().dataset.build().load()
    card = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "no GPU"
    print(
        f"{card}, {counted(torch.get_num_threads(), 'thread')}, torch {torch.__version__}, {counted(rounds, 'round')}"
    )
    digits: Data = configure("dataset=digits").dataset.build().load()
    programs = training(data, DEFAULT) | {
        "this runner, trainer=fast": training_epoch(data, *DEFAULT.overrides, "trainer=fast"),
        "this runner, trainer.compile=true": training_epoch(data, "trainer.compile=true"),
        "Lightning + DataLoader, 2 workers": lightning_loader(data, DEFAULT, 2),
    }
    references = ["plain loop", "Lightning + DataLoader", "pythae"]
    report("Training, 784-512-512-32", "images/s", measure(programs, rounds), references)
    report("Training, 784-64-8", "images/s", measure(training(data, SMALL), rounds), references)
    rates = measure(training(digits, Widths((1, 8, 8), (64,), 8), "dataset=digits"), rounds)
    report("Training, digits, 64-64-8", "images/s", rates, references)
    report("Training, convolutional default, 64 x 64 x 3", "images/s", measure(convolutional(), rounds), ["plain loop"])
    programs = {
        "this runner": likelihood(data),
        "this runner, trainer=fast": likelihood(data, "trainer=fast"),
        "pythae get_nll": pythae.likelihood(data),
    }
    report("Importance-weighted log-likelihood", "pairs/s", measure(programs, rounds), ["pythae get_nll"])
    sweeps = measure(neighbours.sweeps(), rounds)
    report("A sweep of twelve jobs, with evaluation and figures", "jobs/hour", sweeps, ["one after another"])
    report("Seconds to the first step, digits", "ms", measure(neighbours.starts(), rounds), ["imports alone"])
    costs = measure(curves.programs(data), 1)
    report("Cost of a step", "steps/s", costs, [])
    print(f"figure: {curves.draw(costs)}")
    if DEVICE.type == "cpu":
        together = measure(neighbours.programs(), rounds)
        report("Runs side by side", "images/s, all together", together, ["one run", "one run, OpenMP as it is"])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
