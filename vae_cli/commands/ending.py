"""The end of a training: its figures, its last files, and the lines that say so."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from vae_cli.commands.reproduction import Comparison
from vae_cli.config.schema import LoggerConfig, TrainConfig
from vae_cli.datasets import Data
from vae_cli.distributed.terminal import say
from vae_cli.evaluation.result_table import print_table
from vae_cli.figures import drawing
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.results import Results
from vae_cli.training import loggers
from vae_cli.training.callbacks import History
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.loggers import RunLogger


def draw(
    config: TrainConfig,
    run: RunFolder,
    data: Data,
    module: LatentModelModule,
    history: History,
    run_loggers: list[RunLogger],
) -> None:
    """Draw and save the figures, after the numbers, which an error here does not lose."""
    drawn = drawing.draw(module.model, data, module.device, history=history.rows, seed=config.evaluate.seed)
    drawing.save(drawn, run.figures, config.figures)
    loggers.log_figures(run_loggers, run.figures, history.rows[-1])


def end(config: TrainConfig, run: RunFolder, summary: Results, data: str, *, alone: bool) -> None:
    """Write the results, after all other files: a run that is killed before this is not done. Print them.

    A run that is `alone`, no job of a sweep, prints the next steps, too.
    """
    summary |= run.finish(summary, "done", "done", alive=True)
    print_table(summary, f"{data}, seed={config.seed}")
    written = sorted(p.name + "/" * p.is_dir() for p in run.path.iterdir() if not p.name.startswith("."))
    place = os.path.relpath(run.path)
    say(f"written to {place}: {', '.join(written)}")
    if alone:
        more = [f"trainer.max_epochs={2 * config.trainer.max_epochs}"]
        more += ["trainer.patience=null"] * str(summary["train/stopped"]).startswith("trainer.patience")
        say(f"next: {_next(place, more, config.logger)}")
    if config.reproduce:
        comparison = Comparison.of(RunFolder(Path(config.reproduce)), run)
        summary |= comparison.results
        run.write_results(summary)
        comparison.show()


def prune(run: RunFolder, summary: Results) -> None:
    """Write the results of a trial that a pruner has stopped; it has no evaluation and no figures."""
    summary |= run.finish(summary, "pruned", "pruned", alive=True)
    say(f"pruned by {summary['train/stopped']}; continue with: {shlex.join(['vae-train', f'resume={run}'])}")


def _next(place: str, more: list[str], logger: LoggerConfig) -> str:
    """Command lines for the next steps with a finished run; `more` are the settings that train it on."""
    legs = sorted(Path(place, "wandb").glob("*run-*-*"), key=lambda leg: leg.stat().st_mtime) if logger.wandb else []
    offline = [leg for leg in legs[-1:] if leg.name.startswith("offline-")]
    lines = [
        ("vae-eval", f"run={place}", "evaluate=paper"),
        ("vae-sample", f"run={place}"),
        ("vae-train", f"resume={place}", *more),
        ("vae-report", place),
        *(("wandb", "sync", str(leg)) for leg in offline),
        *[("tensorboard", "--logdir", place)] * bool(logger.tensorboard),
    ]
    return "\n      ".join(map(shlex.join, lines))
