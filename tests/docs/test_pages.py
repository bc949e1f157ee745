"""The pages: small, linked, and every line that they print is a line that works."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pandas import DataFrame
from PIL import Image

from tests.support.commands import ROOT, fork, forked, line
from tests.support.front import call
from tests.support.pages import DOCS, PAGES, blocks, commands, files, name, options, prose, shell
from tests.support.runs import make_run, results
from vae_cli.commands import status
from vae_cli.config import help, pages
from vae_cli.config.completion import ROOTS
from vae_cli.config.preflight import prepare_command, prepare_training
from vae_cli.config.schema import SCHEMAS
from vae_cli.config.sources import Sources
from vae_cli.errors import ConfigError
from vae_cli.report.arguments import Arguments

COMMANDS = sorted({command for page in PAGES for command in commands(page)})
QUICK = ("trainer.accelerator=cpu", "trainer.limit_batches=2", "evaluate.samples=2", "logger=none")
RUN = "outputs/train/DATE/TIME"
SWEEPS = ("outputs/multirun/DATE/TIME", "outputs/beta")
TRAIN = ("vae-train", "dataset=digits", f"hydra.run.dir={RUN}", "trainer.max_epochs=1", "prior=mixture", *QUICK)


def fill(place: Path) -> None:
    """The files that the pages name."""
    draw = np.random.default_rng(0)
    np.savez(place / "table.npz", x=draw.normal(size=(300, 12)))
    columns = dict(zip(("height", "weight"), draw.normal(size=(2, 300)) + 9, strict=True))
    DataFrame(columns).to_csv(place / "table.csv", index=False)
    (place / "t10k-images-idx3-ubyte.gz").touch()
    np.savetxt(place / "numbers.txt", draw.normal(size=100))
    np.savetxt(place / "points.txt", draw.normal(size=(60, 2)))
    (place / "photos").mkdir()
    for number in range(20):
        pixels = draw.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "photos" / f"{number}.png")
    for page in PAGES:
        for file, text in files(page).items():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_text(text, encoding="utf-8")
    for folder in SWEEPS:
        (place / folder).mkdir(parents=True)


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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "work"
    folder.mkdir()
    fill(folder)
    done = fork(*TRAIN, folder=folder)
    assert done.code == 0, done.err
    for sweep in SWEEPS:
        shutil.copytree(folder / RUN, folder / sweep / "job")
    return folder


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


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_line_runs(command: tuple[str, ...], trained: Path) -> None:
    small = shrunk(command)
    if small is None:
        pytest.skip("needs a cluster, or runs in test_using.py")
    done = forked(*small, folder=trained, VAE_PLUGINS="lab").end(after=280)
    assert done.code == 0, done.err


def shrunk(command: tuple[str, ...]) -> list[str] | None:
    """A command line that does little: digits, one epoch, two batches, two values of a sweep."""
    words = [
        re.sub(r"^dataset=(?!array|table|image_folder|shapes|linear_gaussian).*", "dataset=digits", word)
        for word in command
    ]
    if "likelihood=discretised_logistic" in words:  # bytes, which digits are not
        words = ["dataset=image_folder" if word == "dataset=digits" else word for word in words] + [
            "dataset.path=photos"
        ]
    if any(word.startswith("data=") and word != "data=test" for word in words):
        return None
    if "cluster=slurm" in words or "trainer.num_nodes=2" in words:
        return None
    if words[0] == "vae-eval":
        gaps = ["images=2", "chains=2", "temperatures=3", "refine_steps=2", "iw_samples=2", "elbo_samples=2"]
        return [*words, "evaluate.samples=2", *(f"evaluate.gaps.{value}" for value in gaps if "evaluate=gaps" in words)]
    if words[0] != "vae-train" or {"--help", "--cfg"} & set(words):
        return words
    if resumed := [word for word in words if word.startswith("resume=")]:
        return [words[0], *resumed, "trainer.max_epochs=2"]
    if "-m" in words:
        words = [re.sub(r"^([\w.]+=[^,\[]+,[^,]+),.*", r"\1", word) for word in words]
    kept = [word for word in words if not word.startswith(("trainer.max_epochs=", "evaluate.samples="))]
    text = " ".join(kept)
    small = ["trainer.max_epochs=1", *QUICK]
    if not re.search(r"dataset=|experiment=(linear_gaussian|infovae_toy)", text):
        small.append("dataset=digits")
    if re.search(r"model=vade|experiment=vade", text):
        small.append("initialisation.fixed_epochs=1")
        small.append("pretraining.layer_epochs=1" if "vade_paper" in text else "pretraining.epochs=1")
    if "sweep=beta" in text:
        small.append("objective.beta=1,2")
    if "hparams_search" in text:
        small.append("hydra.sweeper.n_trials=2")
    if "experiment=vade_paper" in text:
        small.append("~dataset.pooled")
    if "experiment=per_example_mnist" in text:
        small.append("dataset.subset=null")
    return [*kept, *small]


def test_the_block_of_the_readme_loads_a_run(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    (block,) = blocks(ROOT / "README.md", "python")
    values = {"x": torch.rand(3, 1, 8, 8).round()}
    exec(block.replace("samples=1000", "samples=2"), values)
    assert values["log_px"].shape == (3,)
    assert values["images"].shape == (64, 1, 8, 8)


def test_the_page_on_running_is_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks run one after the other, with the expressions in which a notebook shows something."""
    monkeypatch.chdir(tmp_path)
    values: dict[str, Any] = {"QUICK": (*QUICK, "logger=csv")}
    for block in blocks(DOCS / "running.md", "python"):
        exec(block.replace('epochs=3"]', 'epochs=3", *QUICK]').replace("samples=1000", "samples=2"), values)
    assert values["log_px"].shape == (100,)
    assert values["run"].history.index.tolist() == [1, 2, 3]


@pytest.mark.parametrize("page", [DOCS / "design.md", DOCS / "extending.md"], ids=name)
def test_blocks_run(page: Path) -> None:
    for block in blocks(page, "python"):
        if not block.startswith('"""'):
            exec(block, {"__name__": "page"})


def test_the_examples_of_a_users_own_classes_train_together(trained: Path) -> None:
    """Found beside vae_conf, without PYTHONPATH; a file there that has the name of a library is not imported."""
    (trained / "random.py").write_text("raise SystemExit('shadowed')\n", encoding="utf-8")
    own = ("network=norm_mlp", "dataset=rings", "objective=capacity", "likelihood=student_t", "callbacks=collapse")
    own += ("evaluate.metrics.absolute._target_=lab.metrics.AbsoluteError", "callbacks.collapse.patience=1")
    low = ("callbacks.collapse.least=1e9", "trainer.max_epochs=9", "hydra.run.dir=own")
    done = fork("vae-train", *own, *low, *QUICK, folder=trained, VAE_PLUGINS="lab")
    assert done.code == 0, done.err
    numbers = results(trained / "own")
    assert (numbers["train/epochs"], numbers["data/train_size"]) == (1, 720)
    assert numbers["test/absolute_error"] > 0 < numbers["test/absolute_error_se"]
    assert "test/absolute_error" in done.out and "rate below" in done.out
    (trained / "random.py").unlink()


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
