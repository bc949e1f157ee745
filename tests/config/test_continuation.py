"""A sweep started again: what is done stays, what is not goes on, what has changed runs anew."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import Done, fingerprint, fork, start
from tests.support.configs import mapping
from tests.support.plugins.fragile import PLUGIN
from vae_cli.config import continuation
from vae_cli.errors import UserError
from vae_cli.runs.folder import RunFolder

SMALL = ("dataset=digits", "network.hidden=[16]", "evaluate.samples=2", "trainer.accelerator=cpu", "logger=csv")
FRAGILE = "objective._target_=fragile.Fragile"


def leave(folder: Path, *overrides: str, **results: object) -> Path:
    """A folder with what a run of this configuration leaves: its configuration and, if any, its results."""
    folder.mkdir()
    RunFolder(folder).begin(mapping(*overrides))
    if results:
        (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


@pytest.mark.parametrize("overrides", [[], ["model=vade"], ["model=wae"], ["dataset=array", "dataset.path=x.npz"]])
def test_a_configuration_and_its_file_have_one_fingerprint(overrides: list[str], workplace: Path) -> None:
    saved = RunFolder(leave(workplace / "job", *overrides)).config()
    assert continuation.fingerprint(saved) == continuation.fingerprint(mapping(*overrides))


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("logger=csv", True),
        ("figures=[]", True),
        ("ckpt=last", True),
        ("dataset.root=elsewhere", True),
        ("objective.beta=1", True),
        ("objective.beta=1.5", False),
        ("seed=1", False),
        ("trainer.max_epochs=2", False),
        ("evaluate.samples=7", False),
        ("model=full_covariance", False),
    ],
)
def test_what_makes_a_run_another_one(override: str, same: bool) -> None:
    assert (continuation.fingerprint(mapping(override)) == continuation.fingerprint(mapping())) is same


def test_a_group_that_came_later_and_is_not_chosen_changes_no_run() -> None:
    older = mapping()
    for group in ("codebook", "second_stage", "annealing"):
        del older[group]
    assert continuation.fingerprint(older) == continuation.fingerprint(mapping())
    assert continuation.fingerprint(older) != continuation.fingerprint(mapping("annealing=linear"))


def test_what_is_left_of_a_job(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = mapping()
    assert continuation.remaining(config, RunFolder(workplace / "nothing yet")) is config
    assert continuation.remaining(config, RunFolder(leave(workplace / "done", status="done"))) is None
    for name, status in (("failed", {"status": "failed"}), ("killed", {})):
        assert continuation.remaining(config, RunFolder(leave(workplace / name, **status))) is config
    (workplace / "killed" / "results.json").write_text("{")
    assert continuation.remaining(config, RunFolder(workplace / "killed")) is config
    assert capsys.readouterr().out == ""


def test_another_configuration_is_set_aside(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = leave(workplace / "job", "seed=1", status="done")
    before = fingerprint(job)
    config = mapping()
    assert continuation.remaining(config, RunFolder(job)) is config
    assert not list(job.iterdir())
    (aside,) = (workplace / "superseded").iterdir()
    assert fingerprint(aside) == before
    assert f"job: its configuration has changed; runs anew, the earlier run is now in superseded/{aside.name}" in (
        capsys.readouterr().out
    )


def test_who_is_killed_while_setting_aside_goes_on_with_it(workplace: Path) -> None:
    job = leave(workplace / "job", "seed=1", status="done")
    aside = RunFolder(job).set_aside().path
    (aside / "config.yaml").rename(job / "config.yaml")
    config = mapping()
    assert continuation.remaining(config, RunFolder(job)) is config
    assert not list(job.iterdir())
    assert {path.name for path in aside.iterdir()} == {"config.yaml", "results.json", "status.json"}


def test_a_damaged_checkpoint_is_refused(workplace: Path) -> None:
    job = RunFolder(leave(workplace / "job", status="interrupted"))
    job.checkpoints.mkdir()
    job.checkpoint("last").write_bytes(b"damaged")
    chosen = continuation.remaining(mapping(), job)
    assert chosen is not None and chosen.resume == str(job.path)
    with pytest.raises(UserError, match="not a readable checkpoint"):
        job.newest_checkpoint()


def sweep(work: Path, *arguments: str) -> Done:
    """A sweep over two runs, its epochs set by a preset of the user."""
    line = ("-m", *SMALL, FRAGILE, "experiment=mine", "objective.beta=1,2", *arguments)
    return fork("vae-train", *line, folder=work, **PLUGIN)


def epochs(work: Path, epochs: int) -> None:
    preset = work / "vae_conf" / "experiment" / "mine.yaml"
    preset.parent.mkdir(parents=True, exist_ok=True)
    preset.write_text(f"# @package _global_\n# mine\ntrainer:\n  max_epochs: {epochs}\n", encoding="utf-8")


def test_a_sweep_goes_on(tmp_path: Path) -> None:
    work = tmp_path / "work"
    epochs(work, 2)
    (work / "diverge").touch()
    done = sweep(work, "hydra.sweep.dir=my sweep")
    assert done.code == 1 and "the loss became nan" in done.err
    rows = json.loads((work / "my sweep" / "sweep.json").read_text())
    assert [row["status"] for row in rows] == ["failed", "done"]
    first, second = (work / "my sweep" / row["folder"] for row in rows)
    failed = json.loads((first / "results.json").read_text())
    assert {"git/commit", "version/torch", "version/python"} <= set(failed)
    assert "continue with: vae-train -m dataset=digits " in done.out
    assert "'hydra.sweep.dir=my sweep'" in done.out.splitlines()[-1]

    finished = fingerprint(second)
    (work / "interrupt").touch()
    done = sweep(work, "hydra.sweep.dir=my sweep")
    assert done.code == 130 and "interrupted" in done.err
    assert "already" not in done.out  # the failed one comes first
    assert json.loads((first / "results.json").read_text())["status"] == "interrupted"

    done = sweep(work, "hydra.sweep.dir=my sweep")
    assert (done.code, done.err) == (0, ""), done.err
    assert f"{first.name}: resumes from its last checkpoint" in done.out
    assert f"{second.name}: done already" in done.out
    assert "epoch 1/2" not in done.out and "epoch 2/2" in done.out and "continue with" not in done.out
    results = json.loads((first / "results.json").read_text())
    assert (results["status"], results["train/epochs"], results["train/steps"]) == ("done", 2, 78)
    assert fingerprint(second) == finished
    assert [row["status"] for row in json.loads((work / "my sweep" / "sweep.json").read_text())] == ["done", "done"]

    epochs(work, 1)
    done = sweep(work, "hydra.sweep.dir=my sweep")
    assert (done.code, done.err) == (0, ""), done.err
    assert done.out.count("its configuration has changed") == 2
    assert all(json.loads((job / "results.json").read_text())["train/epochs"] == 1 for job in (first, second))
    old = next((work / "my sweep" / "superseded").glob(f"{second.name}*"))
    assert fingerprint(old) == {name: digest for name, digest in finished.items() if name != ".lock"}


@pytest.mark.slow
def test_the_line_that_goes_on_names_the_folder_of_today(tmp_path: Path) -> None:
    work = tmp_path / "work"
    epochs(work, 1)
    (work / "diverge").touch()
    last = sweep(work).out.splitlines()[-1]
    words = shlex.split(last.removeprefix("continue with: "))
    assert words[:2] == ["vae-train", "-m"]
    (folder,) = (work / "outputs" / "multirun").glob("*/*")
    assert words[-1] == f"hydra.sweep.dir={folder}"
    done = fork(*words, folder=work, **PLUGIN)
    assert (done.code, done.err, done.out.count("done already")) == (0, "", 1)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_side_by_side(launcher: str, tmp_path: Path) -> None:
    line = ["-m", *SMALL, "trainer.max_epochs=1", "seed=0,1", "hydra.sweep.dir=all", f"hydra/launcher={launcher}"]
    times = []
    for _ in range(2):
        done = start("vae-train", *line, folder=tmp_path)
        assert (done.code, done.err) == (0, ""), done.err
        assert " at a time, 1 thread each" in done.out  # OMP_NUM_THREADS of the tests
        times.append([path.stat().st_mtime_ns for path in sorted(tmp_path.glob("all/*/results.json"))])
    assert times[0] == times[1] and len(times[0]) == 2
    rows = json.loads((tmp_path / "all" / "sweep.json").read_text())
    assert [row["status"] for row in rows] == ["done", "done"]
    assert len({row["test/elbo"] for row in rows}) == 2


def test_a_run_that_saved_nothing_is_started_again_as_the_refusal_says(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    folder = work / "a run"
    (work / "diverge").touch()
    line = [*SMALL, FRAGILE, "trainer.max_epochs=1"]
    assert fork("vae-train", *line, f"hydra.run.dir={folder}", folder=work, **PLUGIN).code == 1
    before = fingerprint(folder)
    for command in (["vae-train", "resume=a run"], ["vae-eval", "run=a run"]):
        refused = fork(*command, folder=work, **PLUGIN)
        assert refused.code == 2 and len(refused.err.splitlines()) == 1 and fingerprint(folder) == before
        assert "it saved none; its own command with ckpt=last 'hydra.run.dir=a run' starts it again" in refused.err
    np.savez(work / "x.npz", x=np.random.default_rng(0).normal(size=(100, 3)))
    remedy = shlex.split(refused.err.partition("its own command with ")[2].partition(" starts")[0])
    done = fork("vae-train", *line, *remedy, folder=work, **PLUGIN)
    assert (done.code, done.err) == (0, ""), done.err
    assert json.loads((folder / "results.json").read_text())["status"] == "done"
