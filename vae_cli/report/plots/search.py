"""Plots of a search: the scores of its trials, and the importances of its parameters."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_cli.evaluation.optional import optional
from vae_cli.figures.style import BLUE, GREY, ORANGE
from vae_cli.report.plots.plot import HEIGHT, WIDTH, Plot
from vae_cli.runs import study
from vae_cli.runs.layout import display

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FEWEST = 4
"""Fewest trials from which importances are estimated."""


def search_plots(folder: Path) -> list[Plot]:
    """The plots of the search in a folder; none where there is none, or Optuna is not installed."""
    if not (folder / study.STUDY).is_file() or not find_spec("optuna"):
        return []
    plots: list[Plot] = []
    with optional(f"plots of the search in {display(folder)}"):
        trials = finite_trials(folder)
        title = f"Search in {display(folder)}"
        if trials:
            plots.append(Plot("search/history", title, "score of each trial, and the best so far", history(trials)))
        if (bars := importances(trials)) is not None:
            text = "importance of each parameter for the score, by impurity in random forests; they sum to 1"
            plots.append(Plot("search/importances", title, text, bars))
    return plots


def finite_trials(folder: Path) -> list[FrozenTrial]:
    """The trials with a finite score, by number."""
    trials = study.load(folder).trials
    return [trial for trial in trials if trial.value is not None and math.isfinite(trial.value)]


def history(trials: list[FrozenTrial]) -> Figure:
    """The score of each trial, and the best so far."""
    figure = Figure(figsize=(WIDTH, HEIGHT))
    axes = figure.subplots()
    numbers, scores = [trial.number for trial in trials], [float(trial.value or 0.0) for trial in trials]
    best = [max(scores[: place + 1]) for place in range(len(scores))]
    axes.scatter(numbers, scores, s=12, color=BLUE, label="trial")
    axes.step(numbers, best, where="post", color=ORANGE, label="best so far")
    axes.set(xlabel="trial", ylabel="score (nats): validation ELBO, or minus distortion")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.legend()
    return figure


def importances(trials: list[FrozenTrial]) -> Figure | None:
    """A bar for each parameter; None for few trials, and where no parameter or score varies."""
    from optuna import create_study, importance

    scores = {trial.value for trial in trials}
    if len(trials) < FEWEST or len(scores) < 2:
        return None
    finished = create_study(direction="maximize")
    finished.add_trials(trials)
    evaluator = importance.MeanDecreaseImpurityImportanceEvaluator(seed=0)
    found = importance.get_param_importances(finished, evaluator=evaluator)
    if not found:
        return None
    figure = Figure(figsize=(WIDTH, 0.5 + 0.42 * len(found)))
    axes = figure.subplots()
    for row, (name, value) in enumerate(found.items()):
        axes.barh(row, value, color=BLUE, height=0.3)
        axes.annotate(name, (0, row - 0.2), fontsize=7, va="bottom")
        axes.annotate(f" {value:.2f}", (value, row), fontsize=7, va="center", color=GREY)
    axes.set(xlabel="importance", yticks=[], ylim=(len(found) - 0.6, -0.9), xlim=(0, 1.1))
    return figure
