"""The examples of the pages run: command lines, blocks of Python, a user's own classes."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.commands import ROOT, Done, fork, forked, start
from tests.support.pages import COMMANDS, DOCS, RUN, SWEEPS, blocks, fill, name
from tests.support.runs import results

QUICK = ("trainer.accelerator=cpu", "trainer.limit_batches=2", "evaluate.samples=2", "logger=none")
TRAIN = ("vae-train", "dataset=digits", f"hydra.run.dir={RUN}", "trainer.max_epochs=1", "prior=mixture", *QUICK)


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


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_line_runs(command: tuple[str, ...], trained: Path) -> None:
    small = shrunk(command)
    if small is None:
        pytest.skip("needs a cluster, a download or an account, serves a page, or runs in test_using.py")
    done = run(*small, folder=trained)
    assert done.code == 0, done.err


def run(command: str, *words: str, folder: Path) -> Done:
    """A command at its end; joblib's processes wait for ever in a fork."""
    if "hydra/launcher=joblib" in words:
        return start(command, *words, folder=folder, VAE_PLUGINS="lab")
    return forked(command, *words, folder=folder, VAE_PLUGINS="lab").end(after=280)


def shrunk(command: tuple[str, ...]) -> list[str] | None:
    """A command line that does little: digits, one epoch, two batches, two values of a sweep."""
    if command[0] in ("vae-explore", "vae-push") or any(word.startswith("cluster=") for word in command):
        return None
    if {"dataset=torchvision", "trainer.num_nodes=2"} & set(command):
        return None
    words = [
        re.sub(r"^dataset=(?!array|table|image_folder|shapes|linear_gaussian|torch$).*", "dataset=digits", word)
        for word in command
    ]
    words = [re.sub(r"^(init|reproduce|resume)=last$", rf"\1={RUN}", word) for word in words]
    if "likelihood=discretised_logistic" in words:  # bytes, which digits are not
        words = ["dataset=image_folder" if word == "dataset=digits" else word for word in words] + [
            "dataset.path=photos"
        ]
    if any(word.startswith("data=") and word != "data=test" for word in words):
        return None
    if words[0] == "vae-eval":
        gaps = ["images=2", "chains=2", "temperatures=3", "refine_steps=2", "iw_samples=2", "elbo_samples=2"]
        return [*words, "evaluate.samples=2", *(f"evaluate.gaps.{value}" for value in gaps if "evaluate=gaps" in words)]
    if words[0] != "vae-train" or {"--help", "--cfg"} & set(words):
        return words
    if resumed := [word for word in words if word.startswith("resume=")]:
        return [words[0], *resumed, "trainer.max_epochs=2"]
    if any(word.startswith("reproduce=") for word in words):
        return words
    if "-m" in words:
        words = [re.sub(r"^([\w.]+=[^,\[]+,[^,]+),.*", r"\1", word) for word in words]
    kept = [word for word in words if not word.startswith(("trainer.max_epochs=", "evaluate.samples="))]
    text = " ".join(kept)
    small = [f"trainer.max_epochs={3 if 'halving' in text else 1}", *QUICK]
    if re.search(r"\blogger[.=]", text):
        small.remove("logger=none")
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


@pytest.mark.slow
def test_the_tour_starts_in_an_empty_folder(tmp_path: Path) -> None:
    """One command after the other: a name of a run in one is that of an earlier one."""
    lines = re.findall(r"^ {4}(vae-.*)$", (DOCS / "tour.md").read_text(encoding="utf-8"), re.M)
    assert len(lines) == 8
    for words in map(str.split, lines):
        done = run(*(shrunk((words[0], *words[1:])) or ()), folder=tmp_path)
        assert done.code == 0, done.err
    assert (tmp_path / "outputs" / "report.html").is_file()
    assert all(f" {named} (" in done.out for named in ("first", "second"))


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
