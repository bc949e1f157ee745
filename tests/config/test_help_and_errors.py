from pathlib import Path

import pytest

from tests.support.contract import pairs
from tests.support.front import refuse
from vae_cli.config import help
from vae_cli.config.preflight import prepare_training

pytestmark = pytest.mark.usefixtures("workplace")


OVERRIDES = [
    (["objective.bta=2"], "objective.bta: ", "nearest: objective.beta"),
    (["beta=2"], "beta: ", "nearest: objective.beta"),
    (["modle=vae"], "modle: ", "nearest: model"),
    (["trainer.lr=1"], "trainer.lr: ", "optimizer.lr"),
    (["+objective.bta=2"], "objective.bta: ", "objective.beta"),
    (["++objective.bta=2"], "objective.bta: ", "objective.beta"),
    (["model=vaee"], "model=vaee: ", "nearest: model=vae"),
    (["+experiment=linear_gausian"], "experiment=linear_gausian: ", "nearest: experiment=linear_gaussian"),
    (["+experiments=linear_gaussian"], "experiments: ", "nearest: experiment"),
    (["hydra/launcher=basics"], "hydra/launcher=basics: ", "nearest: hydra/launcher=basic"),
    (["objective.beta=abc"], "objective.beta=abc: ", "a number >= 0"),
    (["objective.beta=-1"], "objective.beta=-1: ", "a number >= 0"),
    (["objective.beta="], "objective.beta=: ", "a number >= 0"),
    (["model.latent_dim=2.5"], "model.latent_dim=2.5: ", "an integer > 0"),
    (["model.latent_dim.x=2"], "model.latent_dim=", "an integer > 0"),
    (["seed=-1"], "seed=-1: ", "an integer >= 0"),
    (["network.activation=rel"], "network.activation=rel: ", "nearest: network.activation=relu"),
    (["trainer.precision=bf16"], "trainer.precision=bf16: ", "nearest: trainer.precision=bf16-mixed"),
    (["logger=[csv,wand]"], "logger=wand: ", "nearest: logger=wandb"),
    (["logger.project=x"], "logger.project: ", "nearest: logger.wandb.project"),
    (["logger=csv", "logger.wandb.project=x"], "logger.wandb.entity: missing", "use logger=wandb"),
    (["~objective.beta"], "objective.beta: missing", "a number >= 0"),
    (["~nothing"], "nothing", "does not exist"),
    (["seed=${nope}"], "seed=${nope}: ", "nope"),
    (["dataset=array"], "dataset.path: ", "dataset.path=..."),
    (["objective._target_=vae_cli.objectives.ELB"], "objective._target_=", "nearest: vae_cli.objectives.ELBO"),
    (["objective._target_=os.system"], "objective._target_=os.system: ", "VAE_PLUGINS"),
    (["likelihood=categorical"], "likelihood Categorical", "dataset.binarize=none"),
    (["beta"], "beta: ", "key=value"),
    (["network.hidden=[1"], "network.hidden=[1: ", "quotes"),
    (["objective.beta=1,2"], "objective.beta=1,2: ", "-m"),
    (["--multrun"], "--multrun", "nearest: --multirun"),
    (["--cfg", "jobs"], "--cfg", "job"),
    (["-m", "--cfg", "job"], "--multirun", "--cfg"),
    (["--resolve"], "--resolve", "--cfg job"),
    (["--cfg", "job", "-p", "modl"], "--package=modl: ", "nearest: model"),
    (["--config-dir", "nowhere"], "nowhere: ", "--config-dir"),
    (["--config-name", "trainn"], "trainn: ", "nearest: train"),
    (["--config-path", "/"], "--config-path=/: ", "--config-dir"),
    (["hydra.run.dirr=x"], "hydra.run.dirr: ", "dirr"),
    (["ckpt=best"], "ckpt=best: ", "last"),
    (["ckpt=last"], "ckpt=last: ", "use resume=last"),
    (["resume=nowhere"], "resume=nowhere: ", "no such folder"),
    (["resume=a folder, far=away"], "resume=a folder, far=away: ", "no such folder"),
    (["-m", "objective.beta=1,-1"], "objective.beta=-1: ", "a number >= 0"),
    (["-m", "model=vae,vaee"], "model=vaee: ", "nearest: model=vae"),
    (["-m", "seed=1,2", "resume=x"], "resume=x: ", "--multirun"),
    (["-m", "objective.beta=interval(0,1)"], "interval(0,1): ", "list them"),
]


@pytest.mark.parametrize(("arguments", "key", "near"), OVERRIDES, ids=lambda value: str(value)[:40])
def test_wrong_arguments(arguments: list[str], key: str, near: str, monkeypatch, capsys) -> None:
    line = refuse(monkeypatch, capsys, *arguments)
    assert line.startswith("vae-train: error: ")
    assert key in line
    assert near in line


FILES = [
    ("model/mine.yaml", "latent_dim: 3", "model=mine", "model: names no class", "model._target_"),
    (
        "model/mine.yaml",
        "_target_: vae_cli.models.model.LatentVariableModel\nlatent_dm: 3",
        "model=mine",
        "mine.yaml:2",
        "model.latent_dim",
    ),
    (
        "model/mine.yaml",
        "_target_: vae_cli.models.model.LatentVariableModel\nlatent_dim: x",
        "model=mine",
        "mine.yaml:2",
        "an integer > 0",
    ),
    (
        "model/mine.yaml",
        "_target_: vae_cli.models.model.LatentVariableModel",
        "model=mine",
        "mine.yaml",
        "model.latent_dim: missing",
    ),
    (
        "model/mine.yaml",
        "_target_: vae_cli.models.model.LatentVariableModelE\nlatent_dim: 3",
        "model=mine",
        "mine.yaml:1",
        "LatentVariableModel",
    ),
    ("model/mine.yaml", "_target_: shutil.rmtree\npath: x", "model=mine", "mine.yaml:1", "VAE_PLUGINS"),
    ("model/mine.yaml", "a: [1", "model=mine", "mine.yaml:2", "not valid YAML"),
    ("model/mine.yaml", "a: 1\na: 2", "model=mine", "mine.yaml:2", "duplicate"),
    ("model/mine.yaml", "- 1", "model=mine", "model", "mine"),
    ("model/mine.yaml", "defaults: [vaee]", "model=mine", "mine.yaml", "nearest: model=vae"),
    ("model/vae.yaml", "latent_dim: 3", "seed=1", "vae.yaml", "rename"),
    ("experiment/mine.yaml", "# @package _global_\nmodle: {a: 1}", "experiment=mine", "mine.yaml:2", "nearest: model"),
    (
        "experiment/mine.yaml",
        "# @package _global_\ndefaults:\n  - override /prior: norml",
        "experiment=mine",
        "mine.yaml:3",
        "nearest: prior=normal",
    ),
    (
        "experiment/mine.yaml",
        "# @package _global_\ndefaults:\n  - override /priorr: normal",
        "experiment=mine",
        "mine.yaml:3",
        "nearest: prior",
    ),
    (
        "experiment/mine.yaml",
        "# @package _global_\nobjective:\n  beta: 1\n  free_bits: -1",
        "experiment=mine",
        "mine.yaml:4",
        "a number >= 0",
    ),
    (
        "experiment/mine.yaml",
        "# @package _global_\nobjective:\n  beta: ${objective.bta}",
        "experiment=mine",
        "mine.yaml:3",
        "objective.bta",
    ),
    (
        "model/mine.yaml",
        "_target_: vae_cli.models.model.LatentVariableModel\nlatent_dim: ???",
        "model=mine",
        "mine.yaml:2",
        "latent_dim=...",
    ),
]
WAYS = ("./vae_conf", "VAE_CONF_DIR", "--config-dir")


@pytest.mark.parametrize(
    ("way", "fault"), pairs(WAYS, FILES, among=lambda way, fault: way == "./vae_conf" or fault is FILES[1])
)
def test_wrong_files(way: str, fault: tuple[str, ...], monkeypatch, capsys) -> None:
    file, content, choice, place, near = fault
    folder = Path("vae_conf" if way == "./vae_conf" else "my configs, all=mine")
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_text(f"{content}\n")
    if way == "VAE_CONF_DIR":
        monkeypatch.setenv(way, str(folder))
    line = refuse(monkeypatch, capsys, choice, *(["--config-dir", str(folder)] if way == "--config-dir" else []))
    assert place in line
    assert near in line


def test_files_that_are_no_text(monkeypatch, capsys) -> None:
    Path("vae_conf/model").mkdir(parents=True)
    Path("vae_conf/model/mine.yaml").write_bytes(b"\xff\xfe\x00a: \x80")
    assert "vae_conf/model/mine.yaml" in refuse(monkeypatch, capsys, "model=mine")


def test_a_users_own_option_is_used_and_listed() -> None:
    Path("vae_conf/model").mkdir(parents=True)
    Path("vae_conf/model/mine.yaml").write_text("# my own\ndefaults: [vae]\nlatent_dim: 3\n")
    assert prepare_training(["model=mine"]).arguments[0] == "model=mine"
    assert "mine                  my own [vae_conf/model/mine.yaml]" in help.text("vae-train")


def test_outputs_that_cannot_be_made(monkeypatch, capsys) -> None:
    Path("file").touch()
    monkeypatch.setenv("VAE_OUTPUT_DIR", "file/outputs")
    assert "VAE_OUTPUT_DIR" in refuse(monkeypatch, capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["model=ae"],
        ["+experiment=linear_gaussian"],
        ["objective.beta=2", "-m", "seed=1,2"],
        ["hydra.run.dir=a b"],
        ["optimizer.amsgrad=true"],
    ],
)
def test_right_arguments_pass_and_write_nothing(arguments: list[str], workplace: Path) -> None:
    lines = prepare_training(arguments).arguments
    assert ("-m" in lines) == ("-m" in arguments)
    assert not any(line.startswith("+") for line in lines)
    assert list(workplace.iterdir()) == []
