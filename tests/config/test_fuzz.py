"""Hundreds of bad inputs: no traceback, no hang, one line, a code that means something, earlier runs as they were."""

import re
from pathlib import Path
from random import Random

import pytest

from tests.support.commands import Done, fingerprint, fork
from tests.support.fuzz import KINDS, TINY

FEW, MANY = len(KINDS), 300
LINE = re.compile(r"vae-\w+: error: \S")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run in it, and room for each input's own folder."""
    folder = tmp_path_factory.mktemp("fuzz") / "work"
    folder.mkdir()
    done = fork("vae-train", *TINY, "hydra.run.dir=run", folder=folder)
    assert (done.code, done.err) == (0, "")
    return folder


def fault(done: Done, before: dict[str, str], after: dict[str, str]) -> str | None:
    """What is wrong with how a command ended, if anything."""
    lines = [line for line in done.err.splitlines() if not line.startswith("warning: ")]
    if done.code not in (0, 1, 2):
        return "hangs" if done.code is None else f"exit code {done.code}"
    if "Traceback" in done.out + done.err:
        return "a traceback"
    if len(lines) != bool(done.code) or not all(map(LINE.match, lines)):
        return f"{len(lines)} lines"
    if done.code == 2 and after != before:
        return "refused, and something was written"
    if any(after.get(name) != digest for name, digest in before.items() if name.startswith("run/")):
        return "an existing run was changed"
    return None


def try_it(number: int, work: Path) -> str | None:
    """What is wrong with the answer to input `number`, if anything."""
    random = Random(number)
    folder = work / f"input{number}"
    folder.mkdir()
    line = KINDS[number % len(KINDS)](random, folder)
    before = fingerprint(folder)
    done = fork(*line, folder=folder)
    problem = fault(done, before, fingerprint(folder))
    return problem and f"{number}: {problem}: {line}: {done.err[-500:]}"


@pytest.mark.parametrize(
    "numbers",
    [range(FEW), pytest.param(range(FEW, MANY), marks=[pytest.mark.slow, pytest.mark.timeout(3000)])],
    ids=len,
)
def test_bad_input(numbers: range, work: Path) -> None:
    kept = fingerprint(work / "run")
    problems = [problem for number in numbers if (problem := try_it(number, work))]
    assert not problems, "\n".join(problems)
    assert fingerprint(work / "run") == kept
