"""The newest run, by the link outputs/last or by time."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.runs import make_run
from vae_cli.config.command_line import quoted
from vae_cli.errors import ConfigError
from vae_cli.runs.find import link_newest, named, newest_run
from vae_cli.runs.folder import RunFolder


def run(name: str) -> RunFolder:
    return RunFolder(make_run(Path("outputs/train/day") / name).absolute())


def test_the_link_leads_to_the_newest_run(workplace: Path) -> None:
    first, second = run("first"), run("second")
    link_newest(second)
    link_newest(first)
    assert Path("outputs/last").readlink() == Path("train/day/first")
    assert newest_run() == first and named("last") == first.path
    assert quoted("run=last") == "run=outputs/train/day/first" and quoted("ckpt=last") == "ckpt=last"
    assert [path.name for path in Path("outputs").iterdir() if "partial" in path.name] == []


def test_a_name_is_that_of_one_run(workplace: Path) -> None:
    first, other = run("12-00-00-000001-first"), run("12-00-00-000002-not-first")
    assert named("first") == first.path and quoted("run=first") == f"run={first}"
    assert named("not-first") == other.path
    assert named("gone") == Path("gone").absolute() and quoted("resume=gone") == "resume=gone"
    again = run("12-00-00-000003-first")
    with pytest.raises(ConfigError, match=f"first: 2 runs have this name .*; use {again}, the newest"):
        named("first")
    Path("first").mkdir()
    assert named("first") == Path("first").absolute()


def test_without_a_link_the_run_that_began_last_counts(workplace: Path) -> None:
    with pytest.raises(ConfigError, match="last: there is no run in outputs"):
        named("last")
    first, second = run("first"), run("second")
    os.utime(first.config_file, (2e9, 2e9))
    assert newest_run() == first
    link_newest(RunFolder(Path("outputs/train/day/gone")))  # which ended before it wrote anything
    assert newest_run() == first
    link_newest(second)
    assert newest_run() == second
    second.checkpoint("last").unlink()
    assert newest_run(saved=True) == first and newest_run() == second


def test_runs_that_start_at_one_time_leave_a_whole_link(workplace: Path) -> None:
    runs = [run(str(number)) for number in range(8)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(link_newest, 20 * runs))
    assert newest_run() in runs
