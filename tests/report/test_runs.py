import json
import os
from pathlib import Path

import pytest

from tests.support.report_folders import epochs, write_run, write_sweep
from vae_cli.errors import UserError
from vae_cli.report.runs import find, read
from vae_cli.report.write import report
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.status import Status

pytestmark = pytest.mark.usefixtures("workplace")


def test_runs_are_found_at_any_depth_and_once() -> None:
    write_sweep(Path("outputs/a"), [0.5, 1], [0, 1])
    write_run(Path("outputs/train/b"))
    runs = find([Path("outputs"), Path("outputs/a"), Path("outputs/train/b")])
    assert [run.name for run in runs] == sorted(run.name for run in runs)
    assert len(runs) == 5
    assert find([Path("outputs/train/b")])[0].config["objective.beta"] == 1.0


def test_files_of_other_programs_are_no_runs() -> None:
    folder = write_run(Path("all/run"))
    for place in ("wandb/offline-run-1/files", ".hydra"):
        (folder / place).mkdir(parents=True)
        (folder / place / "config.yaml").write_text((folder / "config.yaml").read_text())
    for place, name, content in (("site", "config.yaml", "title: x\n"), ("bench", "results.json", '{"speed": 1}')):
        (Path("all") / place).mkdir()
        (Path("all") / place / name).write_text(content)
    assert [run.name for run in find([Path("all")])] == ["all/run"]


def test_how_runs_stand() -> None:
    done = read(write_run(Path("done")))
    unfinished = read(write_run(Path("unfinished"), done=False))
    failed = read(write_run(Path("failed"), results={"status": "failed", "error": "first\nthe  loss became nan"}))
    Path("never").mkdir()
    Path("never/results.json").write_text(json.dumps({"status": "failed", "error": "no such file"}))
    never = read(Path("never"))
    assert done and unfinished and failed and never
    assert (done.status, unfinished.status, failed.status) == ("done", "unfinished", "failed")
    assert "3 epochs" in unfinished.reason and "resume=" in unfinished.reason
    assert failed.reason == "the loss became nan"
    assert (never.status, never.reason, never.config) == ("failed", "no such file", {})


def test_jobs_of_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    Path("sweep/waits").mkdir(parents=True)
    RunFolder(Path("sweep/waits")).write_status(Status("queued"))
    report((Path("sweep"),), Path("sweep"))  # nothing to compare yet
    assert capsys.readouterr().out == "sweep/waits: queued: waits in the queue\n"
    for name, status in (
        ("runs", Status("running", "7_1", epoch=2, epochs=10, seconds=30.0)),
        ("again", Status("requeued", "7_2", requeued=1)),
        ("killed", Status("running", "7_3", epochs=10)),
        ("done", Status("running", epoch=10, epochs=10)),
    ):
        RunFolder(write_run(Path("sweep") / name, done=name == "done")).write_status(status)
    os.utime("sweep/killed/status.json", (0, 0))
    write_run(Path("sweep/superseded/old"))
    runs = {run.folder.name: run for run in find([Path("sweep")])}
    assert {name: run.status for name, run in runs.items()} == {
        "waits": "queued",
        "runs": "running",
        "again": "requeued",
        "killed": "gone",
        "done": "done",
    }
    assert runs["runs"].reason == "epoch 2 of 10 done, 4.0 min left, SLURM job 7_1"
    assert "no sign of it" in runs["killed"].reason
    Path("sweep/again/results.json").write_text(json.dumps({"status": "cancelled", "error": "cancelled in SLURM"}))
    again = read(Path("sweep/again"))
    assert again and (again.status, again.reason) == ("cancelled", "cancelled in SLURM")


def test_numbers_are_finite_numbers() -> None:
    run = read(write_run(Path("run"), results={"test/rate": None, "test/elbo": float("inf")}))
    assert run
    assert run.numbers["test/active_units"] == 10
    assert not {"test/rate", "test/elbo", "git/dirty", "data/name", "test/cluster_occupancy"} & run.numbers.keys()


def test_validation_is_that_of_the_best_epoch_of_the_last_phase() -> None:
    rows = [row | {"phase": phase} for row, phase in zip(epochs([-50, -120, -110]), (1, 2, 2), strict=True)]
    phased = read(write_run(Path("phased"), rows=rows))
    bare = [{"epoch": n, "val/distortion": v} for n, v in enumerate((60.0, 47.0, float("nan")), 1)]
    unbounded = read(write_run(Path("ae"), rows=bare))
    blind = read(write_run(Path("blind"), rows=[{"epoch": 1, "train/elbo": -1.0}]))
    assert phased and unbounded and blind
    assert phased.numbers["validation/elbo"] == -110
    assert unbounded.numbers["validation/distortion"] == 47
    assert not any(name.startswith("validation/") for name in blind.numbers)


DAMAGE = [
    ("config.yaml", "a: [1\n"),
    ("config.yaml", ""),
    ("results.json", '{"status": "do'),
    ("results.json", "[1, 2]"),
    ("results.json", "3"),
    ("metrics.csv", "epoch,val/elbo\n1,one\n"),
    ("metrics.csv", "epoch,val/elbo\n1,2,3,4\n"),
]


@pytest.mark.parametrize(("file", "content"), DAMAGE)
def test_a_damaged_run_is_named_and_the_others_are_read(file: str, content: str) -> None:
    write_run(Path("all/good"))
    (write_run(Path("all/bad")) / file).write_text(content)
    bad, good = find([Path("all")])
    assert (good.status, bad.status) == ("done", "damaged")
    assert file in bad.reason and len(bad.reason.splitlines()) == 1
    with pytest.raises(UserError, match=rf"all/bad: {file}: not readable"):
        find([Path("all/bad")])


def test_bytes_that_are_no_text() -> None:
    (write_run(Path("run")) / "config.yaml").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(UserError, match=r"config\.yaml: not readable"):
        find([Path("run")])


def test_a_folder_without_runs() -> None:
    Path("empty").mkdir()
    with pytest.raises(UserError, match="empty: no runs here"):
        find([Path("empty")])


def test_runs_behind_a_folder_that_cannot_be_read() -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    write_run(Path("all/run"))
    Path("all/closed").mkdir(mode=0)
    assert len(find([Path("all")])) == 1
