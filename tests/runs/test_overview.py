"""vae-status: the states of many runs, at the console and from folders that hold the files of real runs."""

import os
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from shutil import which

import pytest

from tests.support.commands import environment, fingerprint, fork, forked, line, start
from tests.support.front import call
from vae_cli.commands.status import Arguments
from vae_cli.errors import ConfigError
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.overrides import Typed
from vae_cli.runs.overview import Entry, look
from vae_cli.runs.status import Start, Status
from vae_cli.runs.sweep import Sweep

SMALL = ("dataset=digits", "network.hidden=[4]", "model.latent_dim=2", "evaluate.samples=2", "logger=none",
         "trainer.accelerator=cpu", "trainer.threads=1")  # fmt: skip


def made(folder: Path, state: str, start: Start | None = None, **more: object) -> RunFolder:
    """A run's folder with the files that a run of this state has written, after three of ten epochs of a minute."""
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    run.write_typed(Typed([f"seed={folder.name}"]))
    status = Status(state, epoch=3, epochs=10, seconds=60.0, monitor="val/elbo", best=-98.7654)
    status = replace(status, **more)
    run.write_status(status if state == "queued" else status.started(start or Start.now()))
    if state not in ("queued", "running", "requeued"):
        numbers = {"train/stopped": "trainer.max_epochs=10"} | {f"number/{n}": n / 7 for n in range(150)}
        run.finish(numbers | ({} if state == "done" else {"error": "the reason"}), state, "the reason")
    return run


def dead() -> Start:
    """The start of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return replace(Start.now(), pid=process.pid)


def entries(folder: Path) -> dict[str, Entry]:
    return {entry.run.name: entry for group in look([folder]) for entry in group.entries}


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A sweep whose command has ended, with a run of each state, and a run elsewhere."""
    sweep = tmp_path / "night"
    for state in ("done", "failed", "interrupted", "running", "queued"):
        made(sweep / state, state)
    made(sweep / "gone", "running", dead())
    made(sweep / "elsewhere", "running", replace(Start.now(), host="another"))
    made(sweep / "lost", "running", replace(Start.now(), host="another"))
    os.utime(sweep / "lost" / "status.json", (0, 0))
    Sweep(dead(), str(tmp_path), False, ["done", "failed", "never"]).write(sweep)
    return sweep


def test_each_state_is_true(night: Path) -> None:
    found = entries(night)
    assert {name: one.state.name for name, one in found.items() if name != one.state.name} == {
        "elsewhere": "running",
        "lost": "gone",
        "never": "gone",
    }
    assert [*found][:3] == ["done", "failed", "never"]
    assert found["elsewhere"].reason.startswith("last sign") and found["running"].reason == ""
    assert f"its process on {platform.node()} has ended without a word" in found["gone"].reason
    assert found["failed"].reason == "the reason" and "before its turn" in found["never"].reason
    assert {name for name, one in found.items() if one.failed} == {"failed", "interrupted", "gone", "lost", "never"}


def test_a_job_waits_for_its_turn_while_its_sweep_lives(tmp_path: Path) -> None:
    for name in ("here", "far"):
        (tmp_path / name).mkdir()
    Sweep(Start.now(), str(tmp_path), False, ["seed=0"]).write(tmp_path / "here")
    (one,) = entries(tmp_path).values()
    assert (one.state.name, one.goes) == ("queued", True)
    far = replace(Start.now(), host="another")
    Sweep(far, str(tmp_path), False, ["seed=0", "seed=1"]).write(tmp_path / "far")
    assert {one.state.name for one in entries(tmp_path / "far").values()} == {"gone"}
    made(tmp_path / "far" / "seed=1", "running", far)
    assert {one.state.name for one in entries(tmp_path / "far").values()} == {"queued", "running"}


def test_a_process_that_has_the_number_of_an_earlier_one_is_not_the_run() -> None:
    assert Start.now().is_alive
    assert Start("2020-01-01T00:00:00+00:00", platform.node(), pid=os.getpid()).is_alive is False
    assert Start("2020-01-01T00:00:00+00:00", "another", pid=os.getpid()).is_alive is None


def test_a_search_with_a_trial_that_is_done_has_not_failed(tmp_path: Path) -> None:
    Sweep(Start.now(), str(tmp_path), True, []).write(tmp_path)
    made(tmp_path / "a", "failed")
    assert look([tmp_path])[0].failed
    made(tmp_path / "b", "done")
    assert not look([tmp_path])[0].failed


def test_at_the_console(night: Path, tmp_path: Path) -> None:
    before = fingerprint(tmp_path)
    done = fork("vae-status", "night", folder=tmp_path)
    assert (done.code, done.err) == (1, "")
    assert "night: 1 done, 1 failed, 3 gone, 1 interrupted, 1 queued, 2 running" in done.out
    row = next(text.split() for text in done.out.splitlines() if text.strip().startswith("elsewhere"))
    assert row[:6] == ["elsewhere", "running", "3/10", "-98.77", "7:00", "another"]
    failed = fork("vae-status", "night", "--failed", folder=tmp_path)
    assert failed.code == 1 and "night/failed: failed: the reason\n" in failed.out and "elsewhere" not in failed.out
    assert fork("vae-status", "night/done", folder=tmp_path).code == 0
    several = fork("vae-status", "--rerun", "failed", "night/lost", folder=tmp_path)
    assert several.code == 1 and "a job of the sweep in night; use vae-status --rerun failed night" in several.err
    assert before == {name: digest for name, digest in fingerprint(tmp_path).items() if name in before}


def test_watching_ends_with_the_last_run_and_names_changes(tmp_path: Path) -> None:
    """In a pipe: a line for each run, and no more."""
    made(tmp_path / "all" / "a", "done")
    done = fork("vae-status", "all", "--watch", folder=tmp_path)
    assert (done.code, done.out.split()[1:]) == (0, ["all/a:", "done"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cancel"], "--cancel: names no runs"),
        (["--rerun", "failed"], "vae-status --rerun failed last"),
        (["--rerun", "all", "."], "invalid choice"),
        (["--watch", "--failed"], "not allowed with"),
        (["--wacth"], "the options are --watch"),
        (["nowhere"], "nowhere: no such folder"),
        (["file"], "file: is a file; give folders"),
    ],
)
def test_refusals(words: list[str], message: str, workplace: Path) -> None:
    Path("file").touch()
    with pytest.raises(ConfigError, match=message):
        Arguments.parse(words)


@pytest.mark.parametrize("words", [["."], [], ["--watch"], [".", "--watch"]])
def test_a_folder_without_runs_is_refused(words: list[str], workplace: Path) -> None:
    done = call("status", *words)
    assert (done.returncode, done.stdout) == (2, "") and "no runs here; give the folder of runs" in done.stderr
    assert "left out" not in done.stderr


def test_a_folder_within_a_run_names_the_run(workplace: Path) -> None:
    run = made(Path("all", "a"), "done")
    run.checkpoints.mkdir()
    run.checkpoint("last").touch()
    run.config_file.touch()
    done = call("status", "all/a/checkpoints")
    assert done.returncode == 2 and "all/a/checkpoints: no runs here; use vae-status all/a" in done.stderr


def test_nothing_that_failed_is_said(workplace: Path) -> None:
    made(Path("all", "a"), "done")
    done = call("status", "all", "--failed")
    assert (done.returncode, done.stdout) == (0, "nothing has failed\n")


def test_a_failed_job_names_the_log_of_slurm(workplace: Path) -> None:
    """A job that ended before its run began, as in a line of cluster.setup, has no other."""
    run = made(Path("all", "a"), "failed")
    run.write_status(replace(run.present_status(), state="failed", job="7_0"))
    Path("all", ".slurm").mkdir()
    Path("all", ".slurm", "7_0.log").touch()
    assert call("status", "all", "--failed").stdout.splitlines()[1:] == ["  log: all/.slurm/7_0.log"]


def test_files_that_are_damaged(workplace: Path) -> None:
    """Damaged is a run of which they hide the state; of one that is done status.json is not needed."""
    for name in ("status", "done"):
        made(Path("all", name), "done").write_status(None)
        Path("all", name, "status.json").write_text('{"sta')
    Path("all", "status", "results.json").unlink()
    made(Path("all", "results"), "done").results_file.write_text("[1")
    Path("all", "jobs.json").write_text("{")
    found = entries(Path("all"))
    assert {name: one.state.name for name, one in found.items()} == {
        "done": "done",
        "results": "damaged",
        "status": "damaged",
    }
    assert "all/status/status.json: not readable" in found["status"].reason
    shown = call("status", "all")
    assert shown.returncode == 1 and "all: 2 damaged, 1 done; its jobs.json is not readable" in shown.stdout


def test_folders_and_files_without_permission(tmp_path: Path) -> None:
    for name in ("open", "closed", "secret"):
        made(tmp_path / "all" / name, "done")
    for place in ("closed", "secret/results.json"):
        (tmp_path / "all" / place).chmod(0)
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []  # root reads all
    if bound and not which(bound[0]):
        pytest.skip("needs setpriv, by which root has no right to read all files")

    def shown(place: str) -> tuple[int, str]:
        command = [*bound, *line("vae-status", place)]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    code, text = shown("all")
    assert code == 1 and "all: 1 damaged, 1 done" in text and text.count("warning: all/closed: Permission denied") == 1
    assert "all/secret/results.json: no permission to read it" in text and "delete the folder" not in text
    code, text = shown("all/closed")
    assert code == 2 and "all/closed: no permission to read it" in text
    (tmp_path / "all" / "closed").chmod(0o700)


def test_500_runs_take_less_than_a_second_and_write_nothing(tmp_path: Path) -> None:
    """CPU seconds of the process that the command is, without torch and Lightning."""
    states = ("done", "done", "failed", "running", "queued")
    for number in range(500):
        made(tmp_path / "all" / f"objective.beta={number},seed=0", states[number % len(states)])
    before = fingerprint(tmp_path)
    file = tmp_path / "cpu"
    note = f"import atexit, os; atexit.register(lambda: open({str(file)!r}, 'w').write(str(sum(os.times()[:2]))))"
    words = line("vae-status", "all")
    command = [*words[:2], f"{note}; {words[2]}", *words[3:]]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout.count("objective.beta=") == 500, done.stderr
    assert float(file.read_text()) < 1
    file.unlink()
    assert fingerprint(tmp_path) == before


def test_a_sweep_is_stopped(tmp_path: Path) -> None:
    words = ("-m", *SMALL, "trainer.max_epochs=100000", "seed=0,1", "hydra.sweep.dir=all")
    command, folder = forked("vae-train", *words, folder=tmp_path), tmp_path / "all"
    while command.process.is_alive() and not ((status := RunFolder(folder / "seed=0").status()) and status.epoch):
        time.sleep(0.2)
    assert {name: one.state.name for name, one in entries(folder).items()} == {"seed=0": "running", "seed=1": "queued"}
    assert fork("vae-status", "all", "--cancel", folder=tmp_path).code == 0
    assert command.end().code == 143
    assert {name: one.state.name for name, one in entries(folder).items()} == {
        "seed=0": "interrupted",
        "seed=1": "gone",
    }


def test_a_sweep_goes_on_where_it_was_started(tmp_path: Path) -> None:
    """The command of the sweep, with its folder and from its working directory."""
    sweep, other = tmp_path / "work" / "all", tmp_path / "other"
    made(sweep / "seed=1", "failed")
    other.mkdir()
    words = ["vae-train", "-m", *SMALL, "trainer.max_epochs=1", "figures=[]", "seed=1,2", "hydra.sweep.dir=all"]
    Sweep(replace(dead(), command=shlex.join(words)), str(tmp_path / "work"), False, ["seed=1", "seed=2"]).write(sweep)
    done = start("vae-status", "--rerun", "failed", str(sweep), folder=other)
    assert done.code == 0, done.err
    assert done.out.startswith(shlex.join([*words[:-1], f"hydra.sweep.dir={sweep}"]))
    assert {name: one.state.name for name, one in entries(sweep).items()} == {"seed=1": "done", "seed=2": "done"}
    again = fork("vae-status", "--rerun", "failed", str(sweep), folder=other)
    assert (again.code, again.out) == (0, "nothing has failed\n")


def test_single_runs_go_on_one_by_one(tmp_path: Path) -> None:
    """One that was stopped resumes, one that was killed before it saved begins anew in its folder."""
    words = (*SMALL, "trainer.max_epochs=1", "dataset.subset=200")
    assert fork("vae-train", *words, "hydra.run.dir=runs/stopped", folder=tmp_path).code == 0
    stopped, killed = RunFolder(tmp_path / "runs" / "stopped"), RunFolder(tmp_path / "runs" / "killed, early")
    stopped.write_end("interrupted", "terminated")
    killed.path.mkdir()
    killed.write_typed(Typed([*words]))
    killed.write_status(Status("running").started(dead()))
    told = fork("vae-status", "--rerun", "failed", "runs", folder=tmp_path)
    assert told.code == 1 and "these are 2 commands" in told.err
    for command in [shlex.split(text) for text in told.out.splitlines()]:
        assert fork(*command, folder=tmp_path).code == 0
    assert {one.state.name for one in entries(tmp_path / "runs").values()} == {"done"}
    (rest,) = entries(tmp_path / "runs" / "stopped").values()
    assert [one.end for one in rest.status.starts] == ["done", "done"]


def test_a_failed_trial_is_a_result_of_its_search(tmp_path: Path) -> None:
    Sweep(replace(dead(), command="vae-train hparams_search=optuna"), str(tmp_path), True, []).write(tmp_path)
    made(tmp_path / "a", "failed")
    told = fork("vae-status", "--rerun", "failed", ".", folder=tmp_path)
    assert told.code == 0 and "but 1 trial with the score -inf; a larger hydra.sweeper.n_trials" in told.out
