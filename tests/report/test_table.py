import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.report_folders import write_run, write_sweep
from vae_cli.report.runs import find
from vae_cli.report.table import Table, csv_text, latex_text, tables

pytestmark = pytest.mark.usefixtures("workplace")


def table(folder: str = "all") -> Table:
    (one,) = tables(find([Path(folder)]))
    return one


def printed(width: int = 160) -> str:
    console = Console(width=width, file=io.StringIO())
    table().print(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_csv_is_read_back_at_full_precision() -> None:
    write_sweep(Path("all"), [0.5, 4], [0, 1, 2])
    write_run(Path("all/alone"), {"objective.beta": 8})
    write_run(Path("all/failed"), {"objective.beta": 9}, results={"status": "failed"})
    made = table()
    rows = list(csv.DictReader(io.StringIO(csv_text([made]))))
    assert [row["objective.beta"] for row in rows] == ["8", "0.5", "4", "9"]
    assert [row["runs"] for row in rows] == ["n = 1", "n = 3", "n = 3", "n = 0, 1 failed"]
    assert [row["best"] for row in rows] == ["1", "0", "0", "0"]
    assert [row["number"] for row in rows] == ["1", "2", "3", "4"]
    for row, read in zip(made.rows, rows, strict=True):
        assert read["configuration"] == row.group.name
        for metric in made.metrics:
            estimate = row.estimates[metric]
            if estimate is None:
                assert (read[metric], read[f"{metric} half width"], read[f"{metric} n"]) == ("", "", "0")
            else:
                assert float(read[metric]) == estimate.mean
                assert read[f"{metric} half width"] == str("" if estimate.half_width is None else estimate.half_width)
                assert int(read[f"{metric} n"]) == estimate.count


def test_latex_escapes_what_tex_would_read() -> None:
    write_run(Path("all/a"), {"dataset.path": "a_b & 50%$#{c}~^d\\e|f.npz"}, validation=[-3])
    write_run(Path("all/b"), {"dataset.path": "plain"}, validation=[-2])
    text = latex_text([table()])
    escaped = r"a\_b \& 50\%\$\#\{c\}\textasciitilde{}\textasciicircum{}d\textbackslash{}e\textbar{}f.npz"
    assert f"path={escaped} & 1 & $" in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    columns = text.split(r"\begin{tabular}{")[1].split("}")[0]
    header = text.split(r"\toprule")[1].split(r"\midrule")[0]
    for line in [*body.strip().splitlines(), header.strip()]:
        assert line.endswith(r"\\")
        assert line.replace(r"\&", "").count("&") == len(columns) - 1


def test_latex_marks_the_best_and_has_intervals() -> None:
    write_sweep(Path("all"), [0.5, 4], [0, 1])
    lines = table().latex().splitlines()
    assert any(line.startswith(r"beta=0.5 & 2 & $\mathbf{-106.5 \pm 6.4}$") for line in lines)
    assert any(line.startswith(r"beta=4 & 2 & ${-141.5 \pm 6.4}$") for line in lines)
    assert "±" not in table().latex()


def test_the_terminal_shows_one_column_of_choices_and_the_best() -> None:
    write_sweep(Path("all"), [0.5, 4], [0, 1], **{"model.latent_dim": 2})
    write_run(Path("all/other"), {"model.latent_dim": 64, "network.hidden": [7, 8]}, validation=[-500])
    text = printed()
    assert text.count("(best)") == 1
    assert "-106.5 ± 6.4" in text and "n = 2" in text and "n = 1" in text
    assert max(map(len, text.splitlines())) <= 160
    assert max(map(len, printed(80).splitlines())) <= 80


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_narrow_terminal_shows_fewer_columns_and_no_cut_number(width: int) -> None:
    write_sweep(Path("all"), [0.5, 4], [0, 1], **{"network.hidden": [7, 8]})
    text = printed(width)
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    assert ("-106.5 ± 6.4" in text) == (width >= 60)
    assert "bits per dim" not in " ".join(text.split()) and "n = 2" in text


def test_a_mean_over_fewer_runs_says_so() -> None:
    write_sweep(Path("all"), [1], [0, 1])
    write_run(Path("all/diverged"), {"seed": 2}, results={"test/iw_log_likelihood": None})
    made = table()
    assert made.rows[0].cell("test/iw_log_likelihood") == "-97 ± 0 (n = 2)"
    assert made.rows[0].cell("test/rate").startswith("24.3")
    assert "(n" not in made.rows[0].cell("test/rate")


def test_markup_in_a_value_is_printed_as_it_is() -> None:
    write_run(Path("all/a"), {"dataset.path": "[red]a[/red]"})
    write_run(Path("all/b"), {"dataset.path": "b"})
    assert "path=[red]a[/red]" in printed()


def test_the_numbers_of_a_users_own_metric_come_last() -> None:
    own = {"test/absolute_error": 3.5, "test/absolute_error_se": 0.1}
    write_run(Path("all/alone"), results=own)
    made = table()
    assert made.metrics[-1] == "test/absolute_error"
    assert "test absolute_error" in latex_text([made]).replace("\\_", "_")
