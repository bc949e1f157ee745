"""Lines of long work where there is no terminal, and a bar where there is one."""

import io
import sys
import threading

import pytest

from vae_cli.distributed import progress
from vae_cli.distributed.progress import Task, task, track
from vae_cli.distributed.terminal import Labelled, label, say


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_short_work_leaves_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([1, 2], "numbers")) == [1, 2]
    assert capsys.readouterr() == ("", "") and not Task.running


def test_long_work_has_a_line_a_minute_and_one_at_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    monkeypatch.setattr(progress, "LONG", 0.0)
    with task("chains", 4) as chains, task("a part"):
        chains.reach(1)
    assert capsys.readouterr().out.splitlines() == ["chains  25%  0:00 left", "chains: 0:00"]


def test_an_error_removes_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(ValueError, match="no"), task("outer"), task("inner", 3):
        assert Task.bars is not None and len(Task.bars.tasks) == 2
        raise ValueError("no")
    assert Task.bars is None and not Task.running and "inner" in screen.getvalue()
    monkeypatch.setenv("TERM", "dumb")
    with task("a job beside others"):
        assert Task.bars is None


def test_each_line_of_several_jobs_is_whole_and_has_its_label(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", Labelled(screen))

    def speak(number: int) -> None:
        label.set(f"{number}  ")
        print("half of", end=" ")
        go_on[number].wait()
        say(f"line {number}\n")

    go_on = [threading.Event(), threading.Event()]
    threads = [threading.Thread(target=speak, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for number in (1, 0):
        go_on[number].set()
        threads[number].join()
    print("the sweep")
    assert screen.getvalue().splitlines() == ["1  half of line 1", "1", "0  half of line 0", "0", "the sweep"]
