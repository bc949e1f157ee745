import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.support.contract import pairs
from tests.support.front import call
from tests.support.runs import make_run
from vae_cli import cli
from vae_cli.config import help, option_help
from vae_cli.config.comparison import flat
from vae_cli.config.preflight import prepare_command, prepare_training
from vae_cli.config.schema import EvalConfig, SampleConfig
from vae_cli.config.sources import Sources
from vae_cli.errors import ConfigError
from vae_cli.runs import layout

pytestmark = pytest.mark.usefixtures("workplace")


def refuse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str, command: str = "train"
) -> str:
    """The line on stderr of a command that refuses its arguments; nothing is written."""
    before = sorted(Path().rglob("*"))
    monkeypatch.setattr(sys, "argv", ["vae", *arguments])
    with pytest.raises(SystemExit) as stop:
        getattr(cli, command)()
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1, err
    assert sorted(Path().rglob("*")) == before
    return err


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
    (["dataset=npz"], "dataset.path: ", "dataset.path=..."),
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
    assert prepare_training(["model=mine"])[0] == "model=mine"
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
    lines = prepare_training(arguments)
    assert ("-m" in lines) == ("-m" in arguments)
    assert not any(line.startswith("+") for line in lines)
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "evaluate", "sample", "kl", "cavi", "report"])
def test_help_is_narrow_and_complete(command: str) -> None:
    done = call(command, "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= help.WIDTH
    if command == "train":
        for group in Sources.find().groups():
            for option in Sources.find().options(group):
                assert f" {option}" in done.stdout
        assert "  * vae " in done.stdout
        assert all(f"  {key}=" in done.stdout for key in ("name", "tags"))
        assert "callbacks" not in done.stdout.split()
        assert not any(line.startswith(" a ") for line in done.stdout.splitlines())
    if command in ("train", "evaluate", "sample", "report"):
        assert "last, the newest" in " ".join(done.stdout.split())


@pytest.mark.parametrize("width", [80, 120])
def test_help_is_wrapped_to_the_terminal_and_not_cut(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = help.text("vae-train", ["--help"])
    assert max(map(len, shown.splitlines())) <= min(width, help.WIDTH)
    words = help.description(layout.conf_folder() / "dataset" / "npz.yaml").split()
    assert " ".join(words) in " ".join(shown.split())


@pytest.mark.parametrize(
    ("command", "choices", "rows"),
    [
        ("vae-train", ["dataset=npz"], ["dataset.path=... text; x has shape", "likelihood=gaussian chosen with it"]),
        ("vae-train", ["posterior=iaf", "optimizer=adam"], ["posterior.steps=2 an integer > 0; steps of the flow"]),
        (
            "vae-train",
            ["trainer=gpu"],
            ["trainer.accelerator=gpu one of auto, cpu, gpu", "trainer.max_epochs=20 an"],
        ),
        ("vae-eval", ["evaluate=gaps"], ["evaluate.gaps.images=100 an integer > 0; first images", "evaluate.samples="]),
        ("vae-kl", ["target=bimodal"], ["target.means=[-2.5, 2.5] a list [a number]; means"]),
    ],
)
def test_the_help_of_an_option_lists_its_keys(command: str, choices: list[str], rows: list[str]) -> None:
    shown = " ".join(help.text(command, [*choices, "--help"]).split())
    assert all(f"{choice}: " in shown for choice in choices)
    assert all(row in shown for row in rows), shown
    assert "usage:" not in shown


def test_the_help_of_an_option_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="posterior=iaff: no such option; nearest: posterior=iaf"):
        help.text("vae-train", ["posterior=iaff", "--help"])


@pytest.mark.parametrize("group", Sources.find().groups())
def test_the_help_of_every_option_has_the_keys_of_its_class(group: str) -> None:
    for name in Sources.find().options(group):
        keys = {left.partition("=")[0] for left, _ in option_help.option(Sources.find(), group, name)}
        assert not any(key.endswith("_target_") for key in keys)
        for key, expected in plain_keys(group, name).items():
            assert any(key == known or key.startswith(f"{known}.") for known in keys), (name, key, expected)


def plain_keys(group: str, name: str) -> dict[str, object]:
    """The leaves of an option's own file, by their dotted keys."""
    file = Sources.find().file(f"{group}/{name}")
    assert file is not None
    content = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(content, dict)
    content.pop("defaults", None)
    whole = "@package _global_" in file.read_text(encoding="utf-8")
    return {k: v for k, v in flat(content if whole else {group: content}) if not k.endswith("_target_") and v != {}}


def test_every_option_has_a_description() -> None:
    for file in layout.conf_folder().glob("*/*.yaml"):
        assert help.description(file), file


def test_the_values_in_help_are_keys() -> None:
    prepare_training([example for example, _ in help.VALUES if "DIR" not in example])


@pytest.mark.parametrize("arguments", [["--cfg", "job"], ["objective.bta=2"], ["--version"], ["--cfg", "hydra"]])
def test_answers_need_none_of_the_slow_libraries(arguments: list[str], workplace: Path) -> None:
    done = call("train", *arguments)
    assert done.returncode == (2 if "=" in arguments[0] else 0), done.stderr
    assert len(done.stderr.splitlines()) == (1 if "=" in arguments[0] else 0)
    assert list(workplace.iterdir()) == []


def test_cfg_shows_what_would_run() -> None:
    done = call("train", "--cfg", "job", "-p", "objective", "objective.beta=3")
    assert "beta: 3" in done.stdout
    assert "outputs" in call("train", "--cfg", "hydra", "--resolve").stdout


def test_a_folder_with_a_run_is_refused(monkeypatch, capsys) -> None:
    make_run(Path("old run"))
    line = refuse(monkeypatch, capsys, "hydra.run.dir=old run")
    assert "old run: holds a run already" in line
    assert "resume=old run" in line


def test_a_sweep_goes_on_in_its_folder() -> None:
    Path("old").mkdir()
    Path("old/multirun.yaml").touch()
    prepare_training(["-m", "hydra.sweep.dir=old", "seed=1,2"])


def test_resuming_keeps_the_runs_own_configuration(workplace: Path) -> None:
    folder = make_run(Path("a, run"), "model=ae", "model.latent_dim=7")
    lines = prepare_training([f"resume={folder}", "trainer.max_epochs=40", "evaluate.samples=3"])
    place = f"'{workplace / 'a, run'}'"
    assert lines == ["++trainer.max_epochs=40", "++evaluate.samples=3", f"resume={place}", f"hydra.run.dir={place}"]


@pytest.mark.parametrize(
    ("argument", "part"),
    [
        ("model=vae", "model=vae: a resumed run keeps its choices"),
        ("objective.bta=1", "objective.bta: unknown key (command line)"),
        ("trainer.max_epochs=0", "trainer.max_epochs=0: expected an integer > 0 and <= 1000000 (command line)"),
        ("~trainer.max_epochs", "~trainer.max_epochs: "),
        ("hydra.run.dir=elsewhere", "remove hydra.run.dir"),
        ("likelihood._target_=vae_cli.models.likelihoods.Categorical", "a resumed run keeps this"),
        ("optimizer.lr=1e-5", "a resumed run keeps this (command line); it can change "),
    ],
)
def test_what_a_resumed_run_refuses(argument: str, part: str, monkeypatch, capsys) -> None:
    make_run(Path("run"))
    assert part in refuse(monkeypatch, capsys, "resume=run", argument)


def test_a_run_with_a_broken_configuration_is_not_resumed(monkeypatch, capsys) -> None:
    folder = make_run(Path("run"))
    (folder / "config.yaml").write_text("a: [1\n")
    assert "run/config.yaml" in refuse(monkeypatch, capsys, "resume=run")
    (folder / "config.yaml").unlink()
    assert "has no config.yaml" in refuse(monkeypatch, capsys, "resume=run")


def test_one_command_line_is_right_for_a_requeued_job(workplace: Path, monkeypatch, capsys) -> None:
    line = ["model=ae", "hydra.run.dir=job", "ckpt=last", "trainer.max_epochs=3"]
    assert prepare_training(line) == line
    make_run(Path("job"), "model=ae")
    place = f"'{workplace / 'job'}'"
    assert prepare_training(line) == ["++trainer.max_epochs=3", f"resume={place}", f"hydra.run.dir={place}"]
    refusal = refuse(monkeypatch, capsys, "model=full_covariance", "hydra.run.dir=job", "ckpt=last")
    assert "Deterministic" in refusal
    assert "FullCovariance" in refusal


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "run: needs a value"),
        (["run=nowhere"], "run=nowhere: no such folder"),
        (["run=."], "run=.: not the folder of a run"),
        (["run=run", "ckpt=none"], "ckpt=none: no such checkpoint"),
        (["run=run", "evaluate.sample=3"], "nearest: evaluate.samples"),
        (["run=run", "evaluate.split=tst"], "nearest: evaluate.split=test"),
        (["run=run", "evaluate=papr"], "nearest: evaluate=paper"),
        (["run=run", "model=vae"], "model: unknown key"),
        (["run=run", "optimizer.lr=1"], "the run keeps what it was trained with (the top level has run, ckpt, "),
        (["run=run", "dataset.val_size=3"], "the run keeps what it was trained with (dataset has path, root)"),
        (["run=run", "foo=1"], "foo: unknown key (command line); the top level has run, ckpt, "),
        (["run"], "use run=run, or resume=run"),
        (["run=run", "evaluate.samples=1,2"], "several values"),
        (["run=run", "-m"], "-m"),
    ],
)
def test_what_vae_eval_refuses(arguments: list[str], part: str, monkeypatch, capsys) -> None:
    make_run(Path("run"))
    line = refuse(monkeypatch, capsys, *arguments, command="evaluate")
    assert line.startswith("vae-eval: error: ")
    assert part in line


@pytest.mark.parametrize(
    ("run", "argument", "remedies"),
    [
        (["posterior=iaf"], "evaluate=gaps", "use evaluate=standard"),
        (["dataset=digits", "dataset.val_size=0"], "evaluate.split=val", "use evaluate.split=test"),
    ],
)
def test_vae_eval_proposes_what_it_accepts(
    run: list[str], argument: str, remedies: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(Path("run"), *run)
    line = refuse(monkeypatch, capsys, "run=run", argument, command="evaluate")
    assert line.partition("; ")[2].strip() == remedies
    assert "(run/config.yaml:" in line
    prepare_command("eval", EvalConfig, ["run=run", argument, remedies.removeprefix("use ")])


@pytest.mark.parametrize(
    ("run", "argument", "part"),
    [
        ([], "n=0", "n=0: expected an integer > 0"),
        ([], "component=1", "no components (command line); remove component"),
        (["prior=mixture", "prior.components=4"], "component=4", "use component=0 to 3"),
    ],
)
def test_what_vae_sample_refuses(run: list[str], argument: str, part: str, monkeypatch, capsys) -> None:
    make_run(Path("run"), *run)
    assert part in refuse(monkeypatch, capsys, "run=run", argument, command="sample")


def test_vae_eval_and_vae_sample_find_a_run_of_any_name(workplace: Path) -> None:
    make_run(Path("objective.beta=1,2 it's"))
    config = prepare_command("eval", EvalConfig, ["run=objective.beta=1,2 it's", "evaluate.samples=3"])
    assert config.run == str(workplace / "objective.beta=1,2 it's")
    assert isinstance(config, EvalConfig) and (config.evaluate.samples, config.ckpt) == (3, "best")
    config = prepare_command("sample", SampleConfig, [f"run={config.run}", "n=3", f"ckpt={config.run}/config.yaml"])
    assert config.n == 3
