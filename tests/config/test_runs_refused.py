"""Refusals of vae-train, vae-eval and vae-sample for runs that exist."""

from pathlib import Path

import pytest

from tests.support.front import refuse
from tests.support.runs import make_run
from vae_cli.config.command_schemas import EvalConfig, SampleConfig
from vae_cli.config.preflight import prepare_command, prepare_training

pytestmark = pytest.mark.usefixtures("workplace")


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
    lines = prepare_training([f"resume={folder}", "trainer.max_epochs=40", "evaluate.samples=3"]).arguments
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
    assert prepare_training(line).arguments == line
    make_run(Path("job"), "model=ae")
    place = f"'{workplace / 'job'}'"
    assert prepare_training(line).arguments == ["++trainer.max_epochs=3", f"resume={place}", f"hydra.run.dir={place}"]
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
        (["run=run", "trainer.max_epoch=3"], "max_epoch: unknown key (command line); the run keeps"),
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
        ([], "between=[test:3,nowhere:1]", "nowhere:1 is neither an example nor a file (command line); use SPLIT:ROW"),
        ([], "out=/proc/x.csv", "out=/proc/x.csv: cannot be made in /proc; use another folder (command line)"),
        ([], "out=", "out=: needs a value (command line); set out=PLACE"),
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
