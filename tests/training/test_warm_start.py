"""A warm start: parts of a new model begin with the weights of another run."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.support.commands import Done, fork
from tests.support.configs import composed, mapping
from tests.support.runs import results
from vae_cli.config.continuation import fingerprint
from vae_cli.datasets.info import DatasetInfo
from vae_cli.errors import ConfigError
from vae_cli.report.groups import group
from vae_cli.report.runs import find
from vae_cli.runs import checkpoints
from vae_cli.runs.saved_config import resolved
from vae_cli.training import warm_start
from vae_cli.training.build import build_module
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.warm_start import WarmStart, part_of

SMALL = (
    "dataset=digits", "network.hidden=[16]", "model.latent_dim=2", "evaluate.samples=2", "logger=csv",
    "trainer.accelerator=cpu", "trainer.threads=1", "trainer.limit_batches=3", "trainer.max_epochs=1",
)  # fmt: skip
VADE = ("model=vade", "network=mlp", "network.hidden=[16]", "model.latent_dim=2", "prior.components=3")


def train(folder: Path, *line: str) -> Done:
    return fork("vae-train", *SMALL, *line, folder=folder)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a finished run of an ordinary VAE, whose name is no plain one."""
    folder = tmp_path_factory.mktemp("warm") / "work"
    folder.mkdir()
    done = train(folder, "hydra.run.dir=größe=1, a")
    assert (done.code, done.err) == (0, "")
    return folder


@pytest.fixture
def source(work: Path) -> Path:
    return work / "größe=1, a"


def saved(run: Path) -> dict[str, torch.Tensor]:
    weights = checkpoints.load(run / "checkpoints" / "best.ckpt")["state_dict"]
    return {name.removeprefix("model."): value for name, value in weights.items() if name.startswith("model.")}


def started(source: Path, *overrides: str) -> tuple[LatentModelModule, WarmStart]:
    """The module of a configuration after its warm start, before anything is trained."""
    config = composed("dataset=digits", "network.hidden=[16]", "model.latent_dim=2", *overrides)
    facts = DatasetInfo(**checkpoints.load(source / "checkpoints" / "best.ckpt")["data"])
    module = build_module(config, facts)
    return module, warm_start.start(module.model, str(source), config.init_parts, facts)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["objective=iwae"], ("posterior", "likelihood")),
        ([*VADE], ("posterior", "likelihood")),
        (["likelihood=centred_bernoulli"], ("posterior",)),
        (["posterior=full_covariance"], ("likelihood",)),
        (["posterior=full_covariance", "init_parts=[likelihood.decoder]"], ("likelihood.decoder",)),
        (["posterior=iaf", "init_parts=[likelihood]"], ("likelihood",)),
        (["init_parts=[posterior.encoder.1]"], ("posterior.encoder.1",)),
        (["prior=vamp"], ("posterior", "likelihood")),
    ],
)
def test_the_weights_are_those_of_the_run(overrides: list[str], parts: tuple[str, ...], source: Path) -> None:
    module, warm = started(source, *overrides)
    assert warm.parts == parts
    weights, theirs = module.model.state_dict(), saved(source)
    for name, value in weights.items():
        assert not part_of(name, parts) or torch.equal(value, theirs[name]), name
    fresh = [name for name in weights if name in theirs and not part_of(name, parts) and weights[name].dim() > 1]
    assert not any(weights[n].shape == theirs[n].shape and torch.equal(weights[n], theirs[n]) for n in fresh)


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["model.latent_dim=3", "init_parts=[likelihood]"], "likelihood.decoder.0.weight is 16 x 3 here and 16 x 2"),
        (["model.latent_dim=3"], "none of the parts of this model fits"),
        (["posterior=full_covariance", "init_parts=[posterior]"], r"posterior: .*; init_parts=\[likelihood\] fits"),
        ([*VADE, "init_parts=[posterior,prior]"], r"prior: prior.logits is not in it; .*posterior, likelihood\] fits"),
        (["init_parts=[encoder]"], "encoder: this model has no weights of that name .*posterior, likelihood"),
        (["init_parts=[prior]"], "prior: this model has no weights of that name"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], problem: str, source: Path) -> None:
    with pytest.raises(ConfigError, match=problem):
        started(source, *overrides)


def test_a_checkpoint_may_be_named_by_its_file(source: Path, tmp_path: Path) -> None:
    file = shutil.copy(source / "checkpoints" / "last.ckpt", tmp_path / "weights.ckpt")
    config = composed("dataset=digits", "network.hidden=[16]", "model.latent_dim=2")
    facts = DatasetInfo(**checkpoints.load(Path(file))["data"])
    warm = warm_start.start(build_module(config, facts).model, str(file), None, facts)
    assert (warm.checkpoint, warm.epoch, warm.left) == (str(file), 1, ())


def test_where_a_run_begins_makes_it_another_one(source: Path) -> None:
    config = mapping(init := f"init='{source}'")
    assert fingerprint(config) != fingerprint(mapping())
    assert fingerprint(config) == fingerprint(resolved(mapping(init)))
    assert fingerprint(mapping(init, "init_parts=[prior]")) != fingerprint(config)


def test_a_run_says_what_it_began_with(work: Path, source: Path) -> None:
    done = train(work, *VADE, "init=größe=1, a", "pretraining.epochs=1", "initialisation=gmm", "hydra.run.dir=vade")
    assert (done.code, done.err) == (0, "")
    where = "größe=1, a/checkpoints/best.ckpt, epoch 1"
    assert f"\ninit: posterior, likelihood from {where}; not prior: " in done.out
    assert "use pretraining=none initialisation=none" in done.out
    found = results(work / "vade")
    assert found["init/checkpoint"] == str(source / "checkpoints" / "best.ckpt")
    assert (found["init/epoch"], found["init/parts"]) == (1, "posterior, likelihood")
    assert found["init/left"] == "prior: prior.logits is not in it"
    (one,) = group(find([work / "vade"]))
    assert one.runs[0].config["init.weights"].startswith("posterior, likelihood (epoch 1, sha256 ")


def test_parts_that_are_loaded_do_not_start_from_the_data(work: Path) -> None:
    """A learning rate of nothing leaves what a run began with: b of the first run, not that of these fewer examples."""
    centred = ("likelihood=centred_bernoulli", "optimizer.lr=1e-30")
    assert train(work, *centred, "hydra.run.dir=first").code == 0
    line = (*centred, "dataset.val_size=900", "init=first")
    assert train(work, *line, "hydra.run.dir=second").code == 0
    assert train(work, *line[:-1], "hydra.run.dir=without").code == 0
    first, second, without = (saved(work / name) for name in ("first", "second", "without"))
    assert all(torch.equal(second[name], first[name]) for name in first)
    assert not torch.equal(without["likelihood.offset"], first["likelihood.offset"])


def test_a_resumed_run_does_not_begin_again(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "größe=1, a", tmp_path / "first")
    line = (*SMALL, "init=first", "ckpt=last", "hydra.run.dir=run")
    assert fork("vae-train", *line, folder=tmp_path).code == 0
    began = results(tmp_path / "run")
    shutil.rmtree(tmp_path / "first")
    done = fork("vae-train", "resume=run", "trainer.max_epochs=2", folder=tmp_path)
    assert (done.code, done.err) == (0, "") and "init:" not in done.out
    now = results(tmp_path / "run")
    assert {k: v for k, v in now.items() if k.startswith("init/")} == {
        k: v for k, v in began.items() if k.startswith("init/")
    }
    assert fork("vae-train", *line, "trainer.max_epochs=2", folder=tmp_path).out.startswith("run: done already; ")
    done = fork("vae-train", "resume=run", "init=other", folder=tmp_path)
    assert done.code == 2 and "a resumed run keeps this" in done.err


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (("init=nothing",), "init=nothing: there is no such file or folder"),
        (("init_parts=[posterior]",), "set init=DIR"),
        (("-m", "seed=0,1", "init=nothing"), "init=nothing: there is no such file or folder"),
    ],
)
def test_a_run_that_is_not_there_is_refused_before_anything_is_written(
    line: tuple[str, ...], problem: str, tmp_path: Path
) -> None:
    done = fork("vae-train", *line, *SMALL, folder=tmp_path)
    assert done.code == 2 and problem in done.err
    assert not list(tmp_path.iterdir())
