"""`vae-report` from the command line to its files."""

import csv
import sys
from pathlib import Path

import pytest

from tests.support.commands import Done, fingerprint, fork
from tests.support.report_folders import write_run, write_sweep
from tests.support.report_markup import Markup, assert_self_contained
from vae_cli import cli
from vae_cli.config import help
from vae_cli.errors import ConfigError

FILES = ("report.html", "report.csv", "report.tex")


def report(place: Path, *arguments: str, **changes: str) -> Done:
    return fork("vae-report", *arguments, folder=place, **changes)


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code and the line of a command that cannot do its work."""
    monkeypatch.setattr(sys, "argv", ["vae-report", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.report()
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and err.startswith("vae-report: error: "), err
    assert isinstance(stop.value.code, int)
    return stop.value.code, err


def test_a_folder_after_help_is_no_page(workplace: Path) -> None:
    (workplace / "sweep").mkdir()
    (workplace / "results").mkdir()
    assert help.text("vae-report", ["--help", "sweep"]) == help.text("vae-report", ["--help"])
    assert help.text("vae-report", ["--help", "results"]).startswith("# ")
    with pytest.raises(ConfigError, match="unknown page"):
        help.text("vae-report", ["--help", "resluts"])


def test_a_report_of_a_sweep(workplace: Path) -> None:
    write_sweep(workplace / "sweep", [0.5, 1], [0, 1])
    write_run(workplace / "sweep/bad", results={"status": "failed", "error": "the loss became nan"})
    before = fingerprint(workplace / "sweep")
    done = report(workplace, "sweep", "out=a report/here")
    assert (done.code, done.err) == (0, "")
    assert "beta=0.5 (best)" in done.out and "-106.5 ± 6.4" in done.out
    assert "sweep/bad: failed: the loss became nan" in done.out
    assert "written to " + ", ".join(f"a report/here/{name}" for name in FILES) in done.out
    assert "Weights & Biases" not in done.out
    assert fingerprint(workplace / "sweep") == before
    assert sorted(path.name for path in (workplace / "a report/here").iterdir()) == sorted(FILES)
    text = (workplace / "a report/here/report.html").read_text(encoding="utf-8")
    assert_self_contained(text)
    assert "vae-report: sweep" in Markup(text).text
    rows = list(csv.DictReader((workplace / "a report/here/report.csv").read_text().splitlines()))
    assert [row["objective.beta"] for row in rows] == ["0.5", "1"]
    assert (workplace / "a report/here/report.tex").read_text().count(r"\\") == 3


def test_all_runs_are_reported_where_none_is_named(workplace: Path) -> None:
    write_run(workplace / "outputs/train/DATE/TIME")
    assert report(workplace).code == 0
    assert all((workplace / "outputs" / name).is_file() for name in FILES)
    write_run(workplace / "outputs/train/DATE/LATER", {"seed": 1})
    two = report(workplace, "outputs/train/DATE/TIME", "outputs/train/DATE/LATER")
    assert two.code == 0 and "written to outputs/report/report.html, " in two.out
    assert not (workplace / "outputs/train/DATE/TIME/report.html").exists()
    again = report(workplace, "outputs/train/DATE/TIME")
    assert (again.code, again.err) == (0, "")
    assert "n = 1" in again.out and "(best)" not in again.out


def test_the_folder_of_a_job_may_be_named(workplace: Path) -> None:
    write_sweep(workplace / "sweep", [0.5], [0])
    assert report(workplace, "sweep/objective.beta=0.5_seed=0").code == 0


def test_the_plots_go_to_wandb_on_request(workplace: Path) -> None:
    logger = {"name": "wandb", "project": "vae", "entity": None, "group": None, "tags": [], "mode": "auto"}
    write_sweep(workplace / "date/sweep", [0.5, 1], [0], logger=logger)
    done = report(workplace, "date/sweep", "out=report", "wandb=true")
    assert (done.code, done.err) == (0, "")
    assert "plots logged to Weights & Biases (offline) as sweep" in done.out
    (folder,) = (workplace / "report/wandb").glob("offline-run-*")
    images = {str(path.relative_to(folder / "files/media/images")) for path in folder.rglob("*.png")}
    assert any(name.startswith("report/rate_distortion") for name in images)
    assert any(name.startswith("report/against_beta/test/elbo") for name in images)
    content = next(folder.glob("*.wandb")).read_bytes()
    assert b"date/sweep" in content
    off = report(workplace, "date/sweep", "out=off", "wandb=true", WANDB_MODE="disabled")
    assert (off.code, off.err) == (0, "")
    assert not (workplace / "off/wandb").exists() and "Weights" not in off.out


def test_a_failure_of_wandb_is_a_warning_after_the_report(workplace: Path) -> None:
    write_run(workplace / "run")
    done = report(workplace, "run", "wandb=true")
    assert done.code == 0 and (workplace / "run/report.html").is_file()
    assert done.err.startswith("warning: the plots are not in Weights & Biases: ") and "logger=wandb" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["nowhere"], 2, ["nowhere: no such folder", "out=DIR"]),
        (["--out", "x"], 2, ["--out: no such folder"]),
        (["file"], 2, ["file: no such folder"]),
        (["empty", "out=file"], 2, ["out=file: is a file"]),
        (["empty"], 1, ["empty: no runs here", "vae-train"]),
        ([], 2, ["outputs: no such folder"]),
        (["cut"], 1, ["cut/run: results.json: not readable"]),
    ],
)
def test_what_it_refuses(
    arguments: list[str], code: int, parts: list[str], workplace: Path, monkeypatch, capsys
) -> None:
    (workplace / "empty").mkdir()
    (workplace / "file").touch()
    (write_run(workplace / "cut/run") / "results.json").write_text('{"status": ')
    before = fingerprint(workplace)
    found, line = refused(monkeypatch, capsys, *arguments)
    assert found == code
    assert all(part in line for part in parts), line
    assert fingerprint(workplace) == before


def test_where_nothing_can_be_written(workplace: Path, monkeypatch, capsys) -> None:
    write_run(workplace / "run")
    (workplace / "file").touch()
    code, line = refused(monkeypatch, capsys, "run", "out=file/below")
    assert code in (1, 2)
    assert "file" in line
