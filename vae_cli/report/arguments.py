"""The command line of `vae-report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vae_cli.errors import ConfigError
from vae_cli.runs.layout import display, outputs_folder

OUT = "out="
MARKS = {"html": "vae-report", "csv": "number,configuration", "tex": r"% \usepackage{booktabs}"}
"""By which a report is known that may be written over."""


@dataclass(frozen=True)
class Arguments:
    """The folders to look for runs in, and the one to write to."""

    folders: tuple[Path, ...]
    out: Path

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Arguments:
        """Every argument but out=DIR is a folder, whatever its name: those of a sweep's jobs hold `=` and `,`."""
        named = [Path(argument.removeprefix(OUT)).expanduser() for argument in argv if argument.startswith(OUT)]
        folders = tuple(Path(argument) for argument in argv if not argument.startswith(OUT)) or (outputs_folder(),)
        for folder in folders:
            if not folder.is_dir():
                remedy = "name runs, sweeps or folders above them, and out=DIR for where the report goes"
                raise ConfigError(f"{display(folder)}: no such folder; {remedy}")
        out = named[-1] if named else folders[0]
        if out.exists() and not out.is_dir():
            raise ConfigError(f"{OUT}{out}: a file; name a folder for report.html, report.csv and report.tex")
        for kind, mark in MARKS.items():
            file = out / f"report.{kind}"
            if file.exists() and mark not in file.read_text(encoding="utf-8", errors="replace")[:2000]:
                raise ConfigError(f"{display(file)}: no report of vae-report's; name another folder by out=DIR")
        return cls(folders, out)
