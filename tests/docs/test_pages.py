"""The pages: small, linked, and every line that they print is a line that works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT, line
from tests.support.front import call
from tests.support.pages import COMMANDS, DOCS, PAGES, RUN, fill, name, options, prose, shell
from tests.support.runs import make_run
from vae_cli.commands import status
from vae_cli.config import help, pages
from vae_cli.config.command_schemas import SCHEMAS
from vae_cli.config.completion import ROOTS
from vae_cli.config.preflight import prepare_command, prepare_training
from vae_cli.config.sources import Sources
from vae_cli.errors import ConfigError
from vae_cli.report.arguments import Arguments


def checked(command: str, *arguments: str) -> None:
    """Check a command's arguments as the command does, and run nothing."""
    if {"--help", "--version", "--completion"} & set(arguments):
        assert help.text(command, [a for a in arguments if a != "--completion"]) or "--version" in arguments
    elif command == "vae-train":
        prepare_training(arguments)
    elif command == "vae-report":
        Arguments.parse(arguments)
    elif command == "vae-status":
        status.Arguments.parse(arguments)
    else:
        prepare_command(ROOTS[command], SCHEMAS[ROOTS[command]], list(arguments))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages") / "work"
    folder.mkdir()
    fill(folder)
    return folder


@pytest.fixture
def inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory is a place with the files that the pages name, and a run that is done."""
    for variable in ("VAE_CONF_DIR", "VAE_OUTPUT_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("VAE_PLUGINS", "lab")
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.chdir(place)
    if not Path(RUN).exists():
        (make_run(Path(RUN)) / "results.json").write_text('{"status": "done"}')
    return place


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 8192


def test_every_page_is_a_topic_with_a_subject() -> None:
    assert {page.stem for page in DOCS.glob("*.md")} == set(pages.TOPICS)
    assert all(pages.subject(topic) for topic in pages.TOPICS)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", prose(target), re.M) if anchor else []
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_lines_are_narrow(page: Path) -> None:
    wide = [text for text in prose(page).splitlines() if len(text) > 80 and not text.startswith(("|", "    ", "!"))]
    assert not wide


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_and_targets_exist(page: Path, inside: Path) -> None:
    sources = Sources.find()
    groups = {*sources.groups(), "study", "target", "direction"}
    missing = [pair for pair in options(page) if pair[0] in groups and not sources.file("/".join(pair))]
    assert not missing
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{words[1]}:" in targets for words in shell(page) if words[0] == "make")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_line_passes_its_checks(command: tuple[str, ...], inside: Path) -> None:
    checked(*command)


def test_a_page_in_the_terminal_comes_without_slow_imports() -> None:
    done = call("train", "--help", "results")
    assert (done.returncode, done.stderr) == (0, "")
    text = re.sub(r"<!--.*?-->\n*", "", (DOCS / "results.md").read_text(encoding="utf-8"))
    assert done.stdout.strip() == text.replace("\\|", "|").strip()


def test_an_unknown_page_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="--help results"):
        help.text("vae-eval", ["--help", "result"])


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("sweep", "Sweep, a section of --help running"),
        ("resume", "Resume, a section of --help running"),
        ("test/iw_samples", "--help results"),
        ("array", "vae-train dataset=array --help"),
        ("logger", "vae-train logger=csv --help"),
        ("name", "name of the run"),
        ("objective.beta", "vae-train objective=elbo --help"),
        ("beta", "objective.beta, a key of objective=elbo"),
    ],
)
def test_a_word_that_is_no_page_is_found(word: str, part: str) -> None:
    assert part in help.text("vae-train", ["--help", word])


def test_help_alone_leads_to_resuming_sweeping_and_the_meaning_of_a_number() -> None:
    text = help.text("vae-train", ["--help"])
    assert "resume=DIR" in text
    assert "-m objective.beta=" in text
    (topic,) = [row.split()[1] for row in text.splitlines() if "test/iw_samples" in row]
    assert "iw_samples" in pages.page(topic)


def test_a_closed_pipe_is_no_error() -> None:
    show = line("vae-train", "--help", "running")
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(show, cwd=ROOT, **pipe) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == (b"", 0)


def test_a_page_is_laid_out_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    text = pages.rendered("results")
    assert "|---|" not in text
    assert "\u2026" not in pages.rendered("data")
    plain = re.sub(r"\x1b\[[\d;]*m|\x1b\]8;[^\x1b]*\x1b\\", "", text)  # colours, and the addresses of pictures
    assert max(map(len, plain.splitlines())) <= 80
