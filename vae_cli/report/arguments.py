"""The command line of `vae-report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vae_cli.errors import ConfigError
from vae_cli.runs.atomic_files import obstacle
from vae_cli.runs.find import named
from vae_cli.runs.layout import display, outputs_folder

OUT = "out="
WANDB = {"wandb=true": True, "wandb=false": False}
MARKS = {"html": "vae-report", "csv": "number,configuration", "tex": r"% \usepackage{booktabs}"}
"""Text that marks a file of `vae-report`, which may be overwritten."""


@dataclass(frozen=True)
class Arguments:
    """Folders with runs, the output folder, and `wandb`: log the plots to W&B."""

    folders: tuple[Path, ...]
    out: Path
    wandb: bool

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Arguments:
        """An argument other than an option is a folder, which may contain `=` and `,`, the name of a run, or `last`."""
        places = [Path(argument.removeprefix(OUT)).expanduser() for argument in argv if argument.startswith(OUT)]
        switches = [WANDB[argument] for argument in argv if argument in WANDB]
        places_of_runs = [argument for argument in argv if not argument.startswith(OUT) and argument not in WANDB]
        folders = tuple(map(named, places_of_runs)) or (outputs_folder(),)
        for folder in folders:
            if not folder.is_dir():
                remedy = "give folders or names of runs, or last, the newest; set out=DIR for the report"
                raise ConfigError(f"{display(folder)}: no such folder; {remedy}")
        out = folders[0] if len(folders) == 1 else outputs_folder() / "report"  # no run's own page is overwritten
        out = places[-1] if places else out
        if out.exists() and not out.is_dir():
            raise ConfigError(f"{OUT}{out}: is a file; set out to a folder for report.html, report.csv and report.tex")
        if problem := obstacle(out):
            raise ConfigError(f"{OUT}{out}: {problem}; set out to another folder")
        for kind, mark in MARKS.items():
            file = out / f"report.{kind}"
            if file.exists() and mark not in file.read_text(encoding="utf-8", errors="replace")[:2000]:
                raise ConfigError(
                    f"{display(file)}: exists and was not written by vae-report; set out=DIR to another folder"
                )
        return cls(folders, out, any(switches[-1:]))
