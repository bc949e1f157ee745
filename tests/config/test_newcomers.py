"""What a newcomer types: each line says what to type instead, and that works."""

import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.configs import composed
from vae_cli.config.command_line import with_search_path
from vae_cli.config.compose import Composer, session
from vae_cli.config.preflight import prepare_training
from vae_cli.config.schema import plain
from vae_cli.config.sources import Sources
from vae_cli.config.suggest import KEYS, OPTIONS
from vae_cli.errors import ConfigError

pytestmark = pytest.mark.usefixtures("workplace")
NEEDED = {
    "dataset=array": ["dataset.path=x"],
    "dataset=table": ["dataset.path=x"],
    "dataset=image_folder": ["dataset.path=x"],
    "dataset=torchvision": ["dataset.name=CelebA"],
}
NEEDED |= {"likelihood=gaussian": ["dataset=linear_gaussian"], "likelihood=categorical": ["dataset.binarize=none"]}
NEEDED |= {"network=conv": ["model=conv_vae"], "objective=factorvae": [], "prior=mixture": []}


def refused(*arguments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        prepare_training(arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["epochs=3"], "epochs: unknown key (command line); nearest: trainer.max_epochs ("),
        (["trainer.epochs=3"], "nearest: trainer.max_epochs ("),
        (["max_epoch=3"], "nearest: trainer.max_epochs ("),
        (["val_size=3"], "nearest: dataset.val_size ("),
        (["network=conv", "hidden_dims=[3]"], "hidden_dims: unknown key (command line); --help lists the groups"),
        (["foo=3"], "foo: unknown key (command line); --help lists the groups"),
        (["dataset.path=x"], "use dataset=array|huggingface|image_folder|table, which has it (dataset has "),
        (["optimizer.momentum=0.5"], "use optimizer=sgd, which has it"),
        (["annealing.weights=[beta]"], "annealing: no option is chosen (command line); use annealing=cyclical|linear"),
        (["network=conv", "network.channels=[]"], "network.channels=[]: expected a list [an integer > 0] of at least"),
        (["vae"], "vae: not of the form key=value, without blanks (command line); use model=vae"),
        (["resume", "last"], "resume: not of the form key=value, without blanks (command line); see --help"),
        (["last"], "last: not of the form key=value, without blanks (command line); use run=last, or resume=last"),
        (["objective=full_covariance"], "nearest: model=full_covariance, posterior=full_covariance; objective has"),
        (["dataset=resnet"], "nearest: network=resnet; dataset has"),
        (["model=iwae"], "nearest: objective=iwae; model has"),
        (["model=beta-VAE"], "nearest: objective.beta=4; model has"),
        (["likelihood=mse"], "nearest: likelihood=gaussian; likelihood has"),
        (["prior=gmm"], "nearest: prior=mixture; prior has"),
        (["--beta", "4"], "keys are written without dashes, as in objective.beta=4; --help lists them"),
        (["--optimizer.lr=0.1"], "keys are written without dashes, as in optimizer.lr=0.1;"),
        (["-v"], "keys are written without dashes, as in objective.beta=4;"),
        (["--multirnu"], "nearest: --multirun"),
        (["network.hidden=512"], "expected a list [an integer > 0] (command line); use network.hidden=[512]"),
        (["trainer.max_epochs=1e3"], "and <= 1000000 (command line); use trainer.max_epochs=1000"),
        (["trainer.gpus=1"], "trainer.gpus: unknown key (command line); nearest: trainer.devices "),
        (["batch_size=3"], "batch_size: unknown key (command line); nearest: dataset.batch_size (--help"),
        (["prior.n_components=10"], "nearest: prior.components (prior has no keys)"),
        (["posterior.flows=2"], "posterior.flows: unknown key (command line); posterior has no keys"),
        (["run=a"], "run: unknown key (command line); nearest: resume "),
        (["network.hidden=[512,]"], "remove the comma before the closing bracket"),
        (["model.generation={x: [z1,],}"], "remove the comma before the closing bracket"),
        (["network=[conv,mlp]"], "network takes one option (command line); use one of them, or -m network=conv,mlp"),
        (["network=[1]"], "network=[1]: not the name of an option (command line); network has conv, "),
        (["callbacks=[a,b]"], "callbacks=[a,b]: expected a mapping, as in callbacks.NAME=... (command line)"),
        (["tags={a:1}"], "tags={a:1}: expected a list, as in tags=[...] (command line)"),
        (["name=größe"], "name=größe: holds a letter that only a quoted value may hold (command line)"),
        (["init="], "init=: needs a value (command line); set init=PLACE, or leave init out"),
        (["data="], "data=: needs a value (command line); set data=PLACE, or leave data out"),
        (["dataset=array", "dataset.path="], "dataset.path=: needs a value (command line); set dataset.path=PLACE"),
        (
            ["experiment=infovae_toy", "likelihood=gaussian"],
            "use ~likelihood.min_scale or likelihood=",
        ),
        (["experiment=vade_paper", "dataset=digits"], "use ~dataset.pooled or dataset=fashion_mnist|kmnist|mnist,"),
        (
            ["experiment=vade_paper", "initialisation=none"],
            "use initialisation=gmm|umap_gmm or ~initialisation.fixed_epochs",
        ),
        (["hydra.run.dir=/proc/x"], "/proc/x: cannot be made in /proc; set VAE_OUTPUT_DIR or hydra.run.dir"),
        (
            ["-m", "seed=1,2", "hydra.sweep.dir=/proc/x"],
            "/proc/x: cannot be made in /proc; set VAE_OUTPUT_DIR or hydra.s",
        ),
        (["cluster=slurm"], "SLURM gets the jobs of a sweep, and this is one run (command line); add -m"),
    ],
)
def test_what_is_typed_is_answered_by_what_to_type(arguments: list[str], told: str) -> None:
    assert told in refused(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["experiment=infovae_toy", "likelihood=gaussian", "~likelihood.min_scale"],
        ["experiment=vade_paper", "initialisation=none", "~initialisation.fixed_epochs", "dataset.val_size=0"],
    ],
)
def test_a_key_of_a_preset_is_removed(arguments: list[str]) -> None:
    prepare_training(arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["optimizer.lr=-1"], "optimizer.lr=-1: expected a number >= 0 (command line)"),
        (["optimizer.weight_decay=-0.1"], "optimizer.weight_decay=-0.1: expected a number >= 0"),
        (["optimizer.eps=-1"], "optimizer.eps=-1: expected a number > 0"),
        (["optimizer.betas=[0.9,1.0]"], "optimizer.betas=[0.9, 1.0]: expected numbers >= 0 and < 1"),
        (["optimizer=sgd", "optimizer.momentum=-1"], "optimizer.momentum=-1: expected a number >= 0"),
        (["optimizer=sgd", "optimizer.momentum=0"], "optimizer.nesterov=false"),
        (["-m", "optimizer.lr=1e-3,-1"], "optimizer.lr=-1: expected a number >= 0"),
    ],
)
def test_arguments_of_the_optimizer_are_in_range(arguments: list[str], told: str) -> None:
    assert told in refused(*arguments)


def test_the_way_out_for_momentum_works() -> None:
    composed("optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=false")
    composed("optimizer.lr=0", "optimizer.betas=[0,0.5]")


@pytest.mark.parametrize("arguments", [["logger=[csv,tensorboard]"], ["-m", "seed=1,2", "logger=tensorboard"]])
def test_a_logger_whose_library_is_missing_is_refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_training(arguments)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    line = refused(*arguments)
    assert line.startswith("logger=tensorboard: ") and "; use logger=csv, or pip install 'vae-cli[tensorboard]'" in line


@cache
def defaults() -> dict[str, Any]:
    return plain(composed())


@pytest.mark.parametrize("key", sorted({key for key in KEYS.values() if not key.startswith("hydra.")}))
def test_keys_that_names_of_the_field_mean_are_there(key: str) -> None:
    group, _, name = key.partition(".")
    node = defaults()[group]
    assert not name or name in node


@pytest.mark.parametrize("way", sorted({way for words in OPTIONS.values() for way in words.values()}))
def test_options_that_names_of_the_field_mean_work(way: str) -> None:
    for one in way.split(" or "):
        extra = {"objective=infovae": ["divergence=mmd"], "objective=mmd_vae": ["model=mmd_vae"]}.get(one, [])
        composed(*extra, *NEEDED.get(one, []), one)
    for group, words in OPTIONS.items():
        assert not set(words) & set(Sources.find().options(group)), group


def preset(name: str, content: bytes) -> None:
    Path("vae_conf/experiment").mkdir(parents=True, exist_ok=True)
    Path(f"vae_conf/experiment/{name}.yaml").write_bytes(content)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("header", [b"", b"# @package _global_\n", b"# a comment\n# @package _global_\n"])
def test_a_preset_is_read_with_and_without_header_and_byte_order_mark(mark: bytes, header: bytes) -> None:
    preset("mine", mark + header + b"defaults:\n  - override /dataset: digits\ntrainer:\n  max_epochs: 3\n")
    with session():
        sources = Sources.find()
        config = Composer("train", sources).compose(with_search_path(["experiment=mine"], sources))
    assert (config.dataset._target_, config.trainer.max_epochs) == ("vae_cli.datasets.Digits", 3)
    assert "experiment" not in config


def test_a_fault_of_a_preset_without_header_is_located() -> None:
    preset("mine", b"\xef\xbb\xbftrainer:\n  max_epoch: 3\n")
    line = refused("experiment=mine")
    assert "(vae_conf/experiment/mine.yaml:2)" in line and "nearest: trainer.max_epochs" in line
