import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.support.report_folders import write_run, write_sweep
from vae_cli.figures.style import styled
from vae_cli.report.groups import group
from vae_cli.report.metrics import present
from vae_cli.report.page import Picture
from vae_cli.report.plots import Plot, colours, plots
from vae_cli.report.plots.search import search_plots
from vae_cli.report.runs import find
from vae_cli.report.write import report
from vae_cli.runs import study

pytestmark = pytest.mark.usefixtures("workplace")


def drawn(*metrics: str) -> dict[str, Plot]:
    """The plots of these metrics, or of all, by name, each rendered: a layout that fails warns, an error here."""
    groups = group(find([Path("all")]))
    with styled():
        found = plots(groups, list(metrics) or present(groups))
        assert all(Picture.of_figure("", plot.figure).uri.startswith("data:image/svg+xml;base64,") for plot in found)
    assert plt.get_fignums() == []
    assert len({plot.name for plot in found}) == len(found)
    return {plot.name: plot for plot in found}


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for box in figure.legends for text in box.get_texts()]


def bars(plot: Plot) -> list[tuple[float, float]]:
    """Each mean and half width of the first line of a plot against a swept value."""
    container: Any = plot.figure.axes[0].containers[0]
    line, _, (segments,) = container
    ends: Sequence[Any] = segments.get_segments()
    return [(float(mean), float(end[1, 1] - end[0, 1]) / 2) for mean, end in zip(line.get_ydata(), ends, strict=True)]


def test_a_sweep_with_seeds_has_every_plot() -> None:
    write_sweep(Path("all"), [0.5, 1, 4], [0, 1])
    found = drawn()
    groups = group(find([Path("all")]))
    metrics = present(groups)
    assert {"rate_distortion", "active_units", "curves/elbo", "curves/distortion", "curves/rate"} <= found.keys()
    assert {f"against_beta/{metric}" for metric in metrics} <= found.keys()
    estimates = [one.estimate("test/elbo") for one in groups]
    assert bars(found["against_beta/test/elbo"]) == [
        pytest.approx((e.mean, e.half_width)) for e in estimates if e and e.half_width
    ]
    points = np.concatenate([np.asarray(c.get_offsets()) for c in found["rate_distortion"].figure.axes[0].collections])
    assert sorted(map(tuple, points)) == sorted(
        (run.numbers["test/rate"], run.numbers["test/distortion"]) for one in groups for run in one.finished
    )
    assert legend(found["rate_distortion"].figure) == ["beta=0.5", "beta=1", "beta=4"]


def test_one_run_has_no_sweep() -> None:
    write_run(Path("all/run"))
    found = drawn()
    assert found.keys() == {"rate_distortion", "active_units", "curves/elbo", "curves/distortion", "curves/rate"}
    assert legend(found["rate_distortion"].figure) == []


def test_a_line_for_each_of_the_other_choices() -> None:
    write_sweep(Path("all/a"), [0.5, 1], [0], **{"model.latent_dim": 2})
    write_sweep(Path("all/b"), [0.5, 1], [0], **{"model.latent_dim": 8})
    found = drawn("test/elbo")
    assert legend(found["against_beta/test/elbo"].figure) == ["latent_dim=2", "latent_dim=8"]
    assert legend(found["against_latent_dim/test/elbo"].figure) == ["beta=0.5", "beta=1"]


def test_a_continued_run_is_no_part_of_a_sweep() -> None:
    for epochs in (1, 2, 4, 8):
        results = {"continued_at": [2]} if epochs == 8 else {}
        run = write_run(Path(f"all/{epochs}"), {"trainer.max_epochs": epochs}, results=results)
        (run / "overrides.yaml").write_text(f"- trainer.max_epochs={epochs}\n")
    ticks = drawn("test/elbo")["against_max_epochs/test/elbo"].figure.axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["1", "2", "4"]


def test_words_stand_side_by_side() -> None:
    for size in ("Normal", "Mixture", "ExPost"):
        write_run(Path(f"all/{size}"), {"prior._target_": f"vae_cli.models.priors.{size}"})
    axes = drawn("test/elbo")["against_prior/test/elbo"].figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["ExPost", "Mixture", "Normal"]


def test_numbers_of_different_data_are_not_plotted_against_the_data() -> None:
    write_run(Path("all/a"))
    write_run(Path("all/b"), {"dataset._target_": "vae_cli.datasets.FashionMNIST"})
    assert not any(name.startswith("against") for name in drawn())


def test_nothing_finished_leaves_the_curves() -> None:
    write_run(Path("all/a"), done=False)
    assert drawn().keys() == {"curves/elbo", "curves/distortion", "curves/rate"}


def test_nothing_logged_leaves_the_results() -> None:
    write_run(Path("all/a"), rows=[{"epoch": 1}], results={"test/active_units": 0})
    assert drawn().keys() == {"rate_distortion", "active_units"}


def test_pretraining_is_left_out_of_the_curves() -> None:
    first = [{"epoch": n, "val/elbo": -900.0} for n in (1, 2)]
    last = [{"epoch": n, "val/elbo": -90.0 - n, "train/elbo": -90.0} for n in (3, 4)]
    write_run(Path("all/a"), rows=[*first, *last])
    write_run(Path("all/b"), {"seed": 1}, rows=first, done=False)
    (axes,) = drawn()["curves/elbo"].figure.axes
    assert [list(np.asarray(line.get_xdata())) for line in axes.get_lines()] == [[3, 4], [3, 4]]


@pytest.mark.slow
def test_many_configurations_of_long_names() -> None:
    for number in range(30):
        path = f"/a/very long/path with $money$ and_more/{'x' * 70}_{number}.npz"
        write_run(Path(f"all/{number}"), {"objective.beta": number / 7, "dataset.path": path})
    found = drawn()
    assert legend(found["rate_distortion"].figure) == []
    texts = [note.get_text() for note in found["active_units"].figure.axes[0].texts]
    assert texts == [f"configuration {number}" for number in range(1, 31)]


def test_names_that_matplotlib_would_read_as_mathematics() -> None:
    for name in ("a$b$_c^{", "d"):
        write_run(Path(f"all/{name}"), {"dataset.path": name})
    assert legend(drawn("test/elbo")["rate_distortion"].figure)[0] == r"path=a\$b\$_c^{"


def test_a_search_has_its_history_and_the_importances_of_its_parameters() -> None:
    optuna = pytest.importorskip("optuna")
    assert search_plots(Path()) == []
    search = study.begin(Path())
    assert search_plots(Path()) == []
    kinds = {
        "optimizer.lr": optuna.distributions.FloatDistribution(0, 1),
        "seed": optuna.distributions.CategoricalDistribution((0, 1)),
    }
    scores = [-3.0, -5.0, -math.inf, -1.0, -2.0, -4.0]
    for number, score in enumerate(scores):
        params = {"optimizer.lr": -score / 5 if math.isfinite(score) else 0.0, "seed": number % 2}
        search.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=score))
    with styled():
        history, importances = search_plots(Path())
    (points,) = history.figure.axes[0].collections
    assert np.asarray(points.get_offsets()).tolist() == [[n, s] for n, s in enumerate(scores) if math.isfinite(s)]
    assert np.asarray(history.figure.axes[0].get_lines()[0].get_ydata()).tolist() == [-3, -3, -1, -1, -1]
    bars: Any = importances.figure.axes[0].patches
    assert sum(bar.get_width() for bar in bars) == pytest.approx(1) and bars[0].get_width() > bars[1].get_width()
    names = [note.get_text() for note in importances.figure.axes[0].texts]
    assert names[0] == "optimizer.lr" and names[2] == "seed"


def test_a_report_of_a_search_shows_its_plots() -> None:
    pytest.importorskip("optuna")
    write_sweep(Path("all"), [0.5, 1], [0])
    study.begin(Path("all")).optimize(lambda trial: trial.suggest_float("optimizer.lr", 0, 1), n_trials=1)
    report((Path("all"),), Path("all"))
    assert "Search in all" in Path("all/report.html").read_text()


def test_colours_are_distinct() -> None:
    assert all(len(set(colours(count))) == count for count in (1, 7, 8, 40))
