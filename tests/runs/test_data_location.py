"""Data that have moved since a run was trained, and paths of any letters."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import vae_cli
from tests.support.commands import Done, fork
from tests.support.configs import composed
from vae_cli.config.check import check
from vae_cli.config.command_line import quoted
from vae_cli.config.compose import parse, session
from vae_cli.config.data_paths import relocated
from vae_cli.config.preflight import prepare_training
from vae_cli.errors import ConfigError, UserError
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import DATA, PATHS

SMALL = ("network.hidden=[8]", "evaluate.samples=2", "logger=none", "trainer.accelerator=cpu")
NEW = "neu = größe 'x' \"数据\" [1]"


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose data have moved into a folder NEW, and other data beside it."""
    folder, x = tmp_path_factory.mktemp("moved"), np.random.default_rng(0).normal(size=(300, 6))
    np.savez(folder / "p=ü.npz", x=x)
    np.savez(folder / "other.npz", x=x[:200])
    done = train(folder, "dataset=array", "dataset.path=p=ü.npz", "hydra.run.dir=run", "trainer.max_epochs=1")
    assert done.code == 0, done.err
    (folder / NEW).mkdir()
    (folder / "p=ü.npz").rename(folder / NEW / "p.npz")
    return folder


def train(folder: Path, *arguments: str) -> Done:
    return fork("vae-train", *arguments, *(() if arguments[0].startswith("resume") else SMALL), folder=folder)


def results(folder: Path) -> dict[str, object]:
    return json.loads((folder / "run" / "results.json").read_text())


def test_a_run_whose_data_are_gone_says_how_to_name_their_place(moved: Path) -> None:
    for done in (
        fork("vae-eval", "run=run", folder=moved),
        train(moved, "resume=run", "trainer.max_epochs=2"),
    ):
        assert done.code == 1 and len(done.err.splitlines()) == 1
        assert "there is no such file" in done.err and "use dataset.path=PLACE " in done.err
    assert results(moved)["status"] == "done"


def test_moved_data_are_evaluated(moved: Path) -> None:
    done = fork("vae-eval", "run=run", f"dataset.path={NEW}/p.npz", "evaluate.samples=2", folder=moved)
    assert done.code == 0, done.err
    (file,) = (moved / "run" / "evaluations").glob("*.json")
    numbers = json.loads(file.read_text())
    for name in ("test/elbo", "test/iw_log_likelihood", "data/sha256"):
        assert numbers[name] == pytest.approx(results(moved)[name])


def test_moved_data_are_found_from_python(moved: Path) -> None:
    with pytest.raises(UserError, match=r"load\(..., dataset_path=PLACE\)"):
        _ = vae_cli.load(moved / "run").data
    assert len(vae_cli.load(moved / "run", dataset_path=moved / NEW / "p.npz").data.test) == 60


def test_other_data_are_refused_with_those_that_the_run_was_trained_on(moved: Path) -> None:
    for done in (
        fork("vae-eval", "run=run", "dataset.path=other.npz", folder=moved),
        train(moved, "resume=run", "trainer.max_epochs=2", "dataset.path=other.npz"),
    ):
        assert done.code in (1, 2) and len(done.err.splitlines()) == 1
        told = done.err.partition("run was trained on array ")[2]
        assert told.startswith(f"{moved / 'p=ü.npz'} (216 training examples, SHA-256 ")
        assert f"no longer the data in array {moved / 'other.npz'} (144 training examples" in told
    assert results(moved)["status"] == "done"


def test_a_resumed_run_keeps_the_new_place_of_its_data(moved: Path, tmp_path: Path) -> None:
    shutil.copytree(moved, tmp_path / "copy")
    place = tmp_path / "copy"
    done = train(place, "resume=run", "trainer.max_epochs=2", f"dataset.path={NEW}/p.npz")
    assert done.code == 0, done.err
    assert results(place)["train/epochs"] == 2
    config = yaml.safe_load((place / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert config["dataset"]["path"] == str(place / NEW / "p.npz") and config["trainer"]["max_epochs"] == 2
    assert fork("vae-eval", "run=run", "evaluate.samples=2", folder=place).code == 0


def test_data_without_such_a_place_are_refused(moved: Path) -> None:
    done = fork("vae-eval", "run=run", "dataset.root=x", folder=moved)
    assert done.code == 2 and "dataset.root=x: " in done.err and "use dataset.path" in done.err
    with pytest.raises(ConfigError, match="remove it"):
        relocated(composed("dataset=linear_gaussian"), {"dataset.path": "x"})


def test_keys_of_vae_eval_are_its_own(moved: Path) -> None:
    for argument, told in (
        ("datset.path=x", "nearest: dataset ("),
        ("epochs=3", "run, ckpt, dataset, evaluate, trainer"),
        ("dataset=array", "dataset: unknown key (command line); groups of this command: evaluate"),
        ("model=vae", "model: unknown key (command line); groups of this command: evaluate"),
    ):
        done = fork("vae-eval", "run=run", argument, folder=moved)
        assert done.code == 2 and told in done.err


LETTERS = [
    "a=b.npz", "/home/jürgen/größe.npz", "数据 集/x.npz", "it's.npz", "'tis.npz", 'say "hi".npz', "x\\", "x\\'y",
    "(1)[2]{3}.npz", "a:b", "2024", "1e5", "true", "#x", "a$b", "*", " lead", "%d@+-.npz",
]  # fmt: skip


@pytest.mark.parametrize("key", PATHS)
def test_a_path_is_taken_as_it_is(key: str) -> None:
    with session():
        for path in LETTERS:
            (override,) = parse([quoted(f"{key}={path}", DATA)])
            assert override.value() == path and not override.is_sweep_override()
        (override,) = parse([quoted(f"{key}=~/x")])
        assert override.value() == str(Path("~/x").expanduser())
        (override,) = parse([quoted(f"{key}=null")])
        assert override.value() is None


def test_a_comma_parts_the_data_of_a_sweep() -> None:
    with session():
        (override,) = parse([quoted("dataset.path=a=1.npz,b ü.npz", DATA)])
        assert override.is_sweep_override() and list(override.sweep_string_iterator()) == ["'a=1.npz'", "'b ü.npz'"]
        (override,) = parse([quoted("dataset.path='a,b.npz'", DATA)])
        assert override.value() == "a,b.npz"
        (override,) = parse([quoted("dataset.path=a,b.npz")])
        assert override.value() == "a,b.npz"
    with pytest.raises(ConfigError, match=r"add -m for a sweep, dataset\.path=.* for one path"):
        prepare_training(["dataset=array", "dataset.path=a,b.npz"])


def test_a_run_of_before_has_no_background(moved: Path) -> None:
    config = RunFolder(moved / "run").config()
    kept = {key: config.dataset[key] for key in ("path", "batch_size", "val_size", "val_seed", "binarize", "subset")}
    images = {"size": 8, "channels": "grey", "memory_gb": 1.0, "workers": 0, "test_fraction": 0.2, "test_seed": 0}
    config.dataset = {"_target_": "vae_cli.datasets.ImageFolder", **kept, **images}
    config.likelihood = {"_target_": "vae_cli.models.likelihoods.DiscretisedLogistic"}
    check(config)
