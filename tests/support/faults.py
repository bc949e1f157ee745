"""The table of faults in docs/troubleshooting.md, which tests compare with the commands."""

import re

from tests.support.commands import ROOT, Done

PAGE = ROOT / "vae_cli" / "docs" / "troubleshooting.md"


def rows() -> dict[str, tuple[str, int]]:
    """The line and the exit code of each fault in the page."""
    section = PAGE.read_text(encoding="utf-8").partition("## When things go wrong")[2]
    table = re.findall(r"^\| (.+?) \| `(.+?)` \| (\d+) \|", section.partition("\n## ")[0], re.M)
    return {fault: (line, int(code)) for fault, line, code in table}


ROWS = rows()


def expect(fault: str, done: Done) -> None:
    """A command ended as the page says."""
    line, code = ROWS[fault]
    pattern = ".*".join(re.escape(part) for part in line.split("..."))
    assert done.code == code, done.err
    assert len(done.err.splitlines()) == 1, done.err
    assert re.fullmatch(pattern, done.err.strip()), done.err
    assert "Traceback" not in done.out


def one_line(done: Done, code: int, *parts: str) -> None:
    """The command ended with this code and one line on stderr, which has these parts."""
    assert done.code == code, done.err
    assert "Traceback" not in done.out + done.err
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert len(lines[0]) < 700
    for part in parts:
        assert part in lines[0]
