"""The page of a single run."""

from pathlib import Path

import pytest

from tests.support.report_folders import write_run
from tests.support.report_markup import Markup, assert_self_contained
from vae_cli.report.write import report

pytestmark = pytest.mark.usefixtures("workplace")


def page(folder: Path) -> str:
    report((folder,), folder)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert_self_contained(text)
    return text


def test_the_page_of_a_run_has_curves_figures_numbers_with_their_meaning_and_settings() -> None:
    folder = write_run(Path("outputs/run"))
    (folder / "overrides.yaml").write_text("[dataset=mnist, 'network.hidden=[512,512]']")
    markup = Markup(page(folder))
    assert "mnist, seed=0, done, 3 epochs" in markup.text
    assert "vae-train dataset=mnist 'network.hidden=[512,512]'" in markup.text
    assert [image["alt"] for image in markup.all("img")] == ["training curves", "samples", "reconstructions"]
    assert [image["class"] for image in markup.all("img")] == ["plot", "image", "image"]
    assert "test/elbo-100.000.2natsELBO at beta = 1 for every objective" in markup.text
    assert "objective.beta1" in markup.text
    assert {"href": "./"} in markup.all("a")


def test_a_run_that_failed_early_has_a_page() -> None:
    folder = write_run(Path("run"), rows=[{"epoch": 1}], results={"status": "failed", "error": "the loss became <nan>"})
    text = Markup(page(folder)).text
    assert "failed: the loss became <nan>" in text


def test_a_run_without_results_has_the_option_of_its_data() -> None:
    folder = write_run(Path("run"), rows=[{"epoch": 1}], results={"status": "interrupted", "data/name": None})
    (folder / "overrides.yaml").write_text("{overrides: [], options: {dataset: fashion_mnist}}")
    assert "fashion_mnist, seed=0, interrupted" in Markup(page(folder)).text


def test_a_sweep_has_the_page_of_several_runs() -> None:
    for seed in (0, 1):
        write_run(Path(f"all/{seed}"), {"seed": seed})
    assert "2 runs, 1 configuration." in Markup(page(Path("all"))).text
