"""Runs on one machine: each takes the cores that the others leave, and says so."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.support.commands import environment, start
from tests.support.fuzz import TINY
from vae_cli.distributed import cores
from vae_cli.distributed.cores import Arrival, limit_spinning
from vae_cli.sweeps.side_by_side import Shares

DENORMALS = """
import torch
from vae_cli.distributed.cores import flush_denormals
flush_denormals()
torch.set_num_threads(2)
small = torch.full((2**20,), 1e-30)
assert (small * 1e-6 != 0).all() and (small * 1e-10 == 0).all()
"""
RUN = """
import sys
from vae_cli.distributed import cores
arrival = cores.Arrival.now()
print("here", flush=True)
for line in sys.stdin:
    threads = int(line)
    if threads:
        cores.claim(threads)
    print(threads or arrival.choose(8), flush=True)
"""


class Run:
    """Another process that arrives, chooses or claims threads when it is told to, and goes on."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert self.ask() == "here"

    def ask(self, threads: int | None = None) -> str:
        assert self.process.stdin and self.process.stdout
        if threads is not None:
            print(threads, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight idle cores that no run uses, whatever the tests beside this one do."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cores, "usable", lambda: 8)
    monkeypatch.setattr(cores, "WINDOW", 0.1)
    monkeypatch.setattr(cores, "_idle", lambda: 8 * time.monotonic())
    monkeypatch.setattr(cores, "_used", lambda process: 0.0)


@contextmanager
def another(tmp_path: Path) -> Iterator[Run]:
    line = [sys.executable, "-c", RUN]
    place = environment(XDG_CACHE_HOME=str(tmp_path), LOKY_MAX_CPU_COUNT="8")
    with subprocess.Popen(line, env=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Run(process)
        finally:
            process.kill()


def test_a_run_alone_takes_all_cores(machine: None) -> None:
    arrival = Arrival.now()
    assert arrival.choose(8) == 8
    assert arrival.choose(4) == 4


def test_a_run_leaves_the_cores_of_another_one(machine: None, tmp_path: Path) -> None:
    with another(tmp_path) as other:
        assert other.ask(5) == "5"
        assert Arrival.now().choose(8) == 3
        assert other.ask(8) == "8"
        assert Arrival.now().choose(8) == 1
    assert Arrival.now().choose(8) == 8  # the other one has ended


def test_runs_that_start_together_share_equally(machine: None, tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(another(tmp_path))
        arrival = Arrival.now()
        stack.enter_context(another(tmp_path))
        assert arrival.choose(8) == 2  # 8 among three
        assert first.ask(3) == "3"
        assert Arrival.now().choose(8) == 2  # 5 among two


def test_jobs_of_a_sweep_take_as_many_threads_as_the_first(machine: None, tmp_path: Path) -> None:
    cores.arrival_of_sweep.cache_clear()
    assert cores.arrival_of_sweep().choose(8) == 8
    with another(tmp_path) as other:
        assert other.ask(5) == "5"
        assert cores.arrival_of_sweep().choose(8) == 8
        assert Arrival.now().choose(8) == 3
    cores.arrival_of_sweep.cache_clear()


def test_a_run_leaves_the_cores_of_other_programs(machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_idle", lambda: 2.6 * time.monotonic())  # 5.4 of 8 cores are busy
    assert Arrival.now().choose(8) == 3


def test_what_runs_use_is_counted_once(machine: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with another(tmp_path) as other:
        other.ask(4)
        monkeypatch.setattr(cores, "_idle", lambda: 4 * time.monotonic())
        used = {other.process.pid: 4.0, os.getpid(): 0.0}
        monkeypatch.setattr(cores, "_used", lambda process: used[process] * time.monotonic())
        assert Arrival.now().choose(8) == 4


def test_claims_that_cannot_be_kept_end_no_run(machine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert Arrival.now().choose(8) == 8


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"x": 1}', '{"1": [1]}', '{"1": null}', "\0"])
def test_damaged_claims_are_replaced(damage: str, machine: None, tmp_path: Path) -> None:
    (file,) = [tmp_path / "vae-cli" / f"cores-{cores.platform.node()}.json"]
    file.parent.mkdir()
    file.write_text(damage)
    assert Arrival.now().choose(8) == 8
    assert list(json.loads(file.read_text())) == [str(os.getpid())]


@pytest.mark.parametrize("variable", cores.SPIN_VARIABLES)
def test_what_the_user_says_about_waiting_stays(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in cores.SPIN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with monkeypatch.context() as there:
        there.setenv(variable, "7")
        limit_spinning()
        assert [os.environ.get(name) for name in cores.SPIN_VARIABLES].count(None) == 1
    monkeypatch.setenv("GOMP_SPINCOUNT", "to be restored")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    limit_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == str(cores.SPINS)


def settings(**changes: object) -> object:
    plain = {
        "hydra": {"launcher": {}},
        "trainer": {"devices": 1, "threads": None},
        "cluster": {"parallel": 256},
    }
    return OmegaConf.merge(plain, OmegaConf.from_dotlist([f"{key}={value}" for key, value in changes.items()]))


@pytest.mark.parametrize(
    ("changes", "jobs", "expected"),
    [
        ({}, 20, (8, 1)),
        ({}, 3, (3, 2)),
        ({}, 1, (1, 8)),
        ({"trainer.devices": 2}, 20, (4, 2)),
        ({"trainer.devices": [0, 1]}, 2, (2, 4)),
        ({"trainer.threads": 4}, 20, (2, 4)),
        ({"trainer.threads": 16}, 20, (1, 16)),
        ({"cluster.parallel": 2}, 20, (2, 4)),
        ({"hydra.launcher.n_jobs": -1}, 20, (8, 1)),
        ({"hydra.launcher.n_jobs": -1}, 2, (2, 4)),
        ({"hydra.launcher.n_jobs": 2}, 20, (2, 4)),
        ({"hydra.launcher.n_jobs": -2}, 20, (7, 1)),
    ],
)
def test_jobs_of_a_sweep_share_the_cores(
    changes: dict[str, object], jobs: int, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("vae_cli.sweeps.side_by_side.usable", lambda: 8)
    shares = Shares.of(settings(**changes), jobs)  # pyright: ignore[reportArgumentType]
    assert (shares.jobs, shares.threads) == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert Shares.of(settings(**changes), jobs).threads == 2  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_a_resumed_run_keeps_its_threads(tmp_path: Path) -> None:
    line = [*TINY, "hydra.run.dir=run", "trainer.max_epochs=1"]
    assert start("vae-train", *line, folder=tmp_path, OMP_NUM_THREADS="1").code == 0
    resumed = start("vae-train", "resume=run", "trainer.max_epochs=2", folder=tmp_path, OMP_NUM_THREADS="2")
    assert (resumed.code, resumed.err) == (0, "")
    assert json.loads((tmp_path / "run" / "results.json").read_text())["threads"] == 1


def test_runs_on_other_cores_take_nothing_away(machine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with another(tmp_path) as other:
        assert other.ask(5) == "5"
        monkeypatch.setattr(cores, "_cores", lambda: {900, 901})
        assert Arrival.now().choose(8) == 8
        monkeypatch.undo()


def test_a_run_that_has_ended_gives_its_cores_back(machine: None, tmp_path: Path) -> None:
    with another(tmp_path) as other:
        assert other.ask(5) == "5"
        cores.claim(3)
        cores.release()
        assert Arrival.now().choose(8) == 3


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("2,1", 2), ("", None), ("many", None), ("0", None)])
def test_threads_that_the_user_has_set(value: str, expected: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cores.set_by_user() == expected


def test_denormals_are_zero_in_all_threads() -> None:
    subprocess.run([sys.executable, "-c", DENORMALS], check=True)
