import base64
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.report_folders import write_run, write_sweep
from tests.support.report_markup import Markup, assert_self_contained, made
from vae_cli.report.page import SHOWN
from vae_cli.report.runs import find
from vae_cli.report.table import tables

pytestmark = pytest.mark.usefixtures("workplace")


def test_a_section_for_each_data_set_and_links_to_the_folders_of_runs() -> None:
    write_sweep(Path("all/a"), [0.5, 1], [0, 1])
    write_sweep(Path("all/b"), [2], [0], **{"dataset._target_": "vae_cli.datasets.FashionMNIST"})
    results = Path("all/b/objective.beta=2_seed=0/results.json")
    results.write_text(results.read_text().replace("mnist", "fashion mnist"))
    failed = {"dataset._target_": "vae_cli.datasets.FashionMNIST", "seed": 1}
    write_run(Path("all/c 1"), failed, results={"status": "failed", "error": "x", "data/name": None})
    markup = Markup(made())
    sections = [attributes["id"] for attributes in markup.all("section")]
    assert sections == ["data-1", "data-2"] and {"href": "#data-1"} in markup.all("a")
    assert len(markup.all("table")) == 2
    folders = {unquote(attributes["href"]) for attributes in markup.all("a") if "#" not in attributes["href"]}
    runs = {run.folder for run in find([Path("all")])}
    assert {(Path("all") / folder).resolve() for folder in folders} == runs
    assert "2 data sets: fashion mnist, mnist, 1 not finished." in " ".join(markup.text.split())


def test_the_best_of_a_column_is_bold_only_where_it_exceeds_its_error() -> None:
    for beta, elbo in ((1, -90.0), (2, -90.2), (3, -95.0)):
        results = {"test/elbo": elbo, "test/rate": elbo, "test/iw_log_likelihood": elbo + beta**3}
        write_run(Path(f"all/{beta}"), {"objective.beta": beta}, results={**results, "test/iw_log_likelihood_se": 0.1})
    bold = {metric for row in tables(find([Path("all")]))[0].rows for metric in row.leads}
    assert bold == {"test/iw_log_likelihood"}  # the ELBOs of the first two have errors of 0.39; a rate has no best
    assert made().count("<b>") == 1 and "<b>-68</b>" in made()


def alternatives(text: str, of: str) -> list[str]:
    return [image["alt"] for image in Markup(text).all("img") if image["alt"].startswith(f"{of} of ")]


def test_the_page_is_valid_and_needs_nothing_else() -> None:
    write_sweep(Path("all"), [0.5, 1], [0, 1])
    text = made(plotted=True)
    assert_self_contained(text)
    markup = Markup(text)
    assert text.startswith("<!doctype html>")
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in markup.all("meta")
    assert all(image["alt"] for image in markup.all("img"))
    identities = [attributes["id"] for _, attributes in markup.elements if "id" in attributes]
    assert len(set(identities)) == len(identities)
    for rule in ("@media print", "@media (max-width", "prefers-color-scheme: dark", "overflow: auto"):
        assert rule in text


def test_the_table_is_on_the_page() -> None:
    write_sweep(Path("all"), [0.5, 1], [0, 1])
    markup = Markup(made())
    assert "4 runs, 2 configurations." in markup.text
    assert "-106.5 ± 6.4" in markup.text and "-111.5 ± 6.4" in markup.text
    assert len([row for row in markup.all("tr") if row.get("class") == "best"]) == 1
    cells = [len(markup.all(tag)) for tag in ("th", "td")]
    columns = 3 + len(tables(find([Path("all")]))[0].metrics)
    assert cells == [columns + 2, 2 * (columns - 1)]


def test_what_is_not_finished_is_listed_with_its_reason() -> None:
    write_run(Path("all/a"))
    write_run(Path("all/b"), {"seed": 1}, results={"status": "failed", "error": "the loss became <nan> & stayed"})
    write_run(Path("all/c"), {"seed": 2}, done=False)
    (write_run(Path("all/d")) / "results.json").write_text("{")
    page = made()
    text = Markup(page).text
    assert "<details>\n<summary>3 not finished</summary>" in page
    assert "4 runs, 1 configuration, 3 not finished" in text
    assert "all/b: failed: the loss became <nan> & stayed" in text
    assert "all/c: unfinished: still running or killed, 3 epochs so far" in text
    assert "all/d: damaged: results.json: not readable" in text


def test_values_and_titles_are_text_and_no_markup() -> None:
    for name in ("<script>alert(1)</script>", "b"):
        write_run(Path(f"all/{len(name)}"), {"dataset.path": name})
    text = made(title='<img src="http://a/b.png">', plotted=True)
    assert_self_contained(text)
    assert "path=<script>alert(1)</script>" in Markup(text).text


def test_images_of_configurations_stand_side_by_side() -> None:
    write_sweep(Path("all"), [0.5, 1], [0, 1])
    text = made()
    assert alternatives(text, "samples") == ["samples of beta=0.5", "samples of beta=1"]
    assert alternatives(text, "reconstructions") == ["reconstructions of beta=0.5", "reconstructions of beta=1"]
    original = base64.b64encode(Path("all/objective.beta=1_seed=0/figures/samples.png").read_bytes()).decode()
    assert f"data:image/png;base64,{original}" in text


def test_images_of_the_seeds_of_one_configuration() -> None:
    write_sweep(Path("all"), [1], [0, 1])
    assert alternatives(made(), "samples") == ["samples of seed=0", "samples of seed=1"]


def test_images_of_the_first_of_many_configurations() -> None:
    write_sweep(Path("all"), list(range(1, SHOWN + 3)), [0])
    text = made()
    assert len(alternatives(text, "samples")) == SHOWN
    assert f"Of the first {SHOWN} configurations" in Markup(text).text


def test_a_run_without_images_has_a_page() -> None:
    (write_run(Path("all/a")) / "figures/samples.png").unlink()
    assert alternatives(made(), "samples") == []
