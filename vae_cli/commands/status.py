"""vae-status: the states of runs and sweeps, and commands that end or repeat them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from vae_cli.errors import FAILED, ConfigError
from vae_cli.runs import overview
from vae_cli.runs.find import named, run_around
from vae_cli.runs.layout import display, outputs_folder

SECONDS = 5.0
"""Between two looks of --watch."""


def obstacle(folder: Path) -> str | None:
    """The reason why the runs in a folder cannot be seen."""
    if folder.is_dir():
        return None if os.access(folder, os.R_OK | os.X_OK) else "no permission to read it"
    return "is a file" if folder.exists() else "no such folder"


class _Parser(argparse.ArgumentParser):
    """Faults are ConfigErrors."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; the options are --watch, --failed, --cancel and --rerun failed")


@dataclass(frozen=True)
class Arguments:
    """Folders with runs, and at most one thing to do with these."""

    folders: tuple[Path, ...]
    watch: bool
    failed: bool
    cancel: bool
    rerun: bool

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Arguments:
        """The folders of runs and sweeps, or of many; names of runs, and `last`; all outputs by default."""
        parser = _Parser(prog="vae-status", add_help=False, allow_abbrev=False)
        parser.add_argument("folders", nargs="*")
        one = parser.add_mutually_exclusive_group()
        for name in ("watch", "failed", "cancel"):
            one.add_argument(f"--{name}", action="store_true")
        one.add_argument("--rerun", choices=["failed"])
        args = parser.parse_intermixed_args(list(argv))
        if (args.cancel or args.rerun) and not args.folders:
            option = "--cancel" if args.cancel else f"--rerun {args.rerun}"
            raise ConfigError(f"{option}: names no runs; give their folder, as in vae-status {option} last")
        folders = tuple(map(named, args.folders)) or (outputs_folder(),)
        for folder in folders if args.folders else ():
            if fault := obstacle(folder):
                raise ConfigError(f"{display(folder)}: {fault}; give folders or names of runs, or last")
        return cls(folders, args.watch, args.failed, args.cancel, bool(args.rerun))


def status(arguments: Arguments) -> int:
    """Show the runs, or do what is asked for; the exit code is 1 if a run has failed."""
    from vae_cli.commands import status_actions, status_table

    groups = overview.look(arguments.folders)
    if not groups:
        places = ", ".join(map(display, arguments.folders))
        inside = next(filter(None, (run_around(place.parent) for place in arguments.folders)), None)
        remedy = "give the folder of runs, or start vae-status where vae-train was started"
        raise ConfigError(f"{places}: no runs here; {f'use vae-status {inside}' if inside else remedy}")
    if arguments.watch:
        return status_table.watch(arguments.folders, SECONDS)
    if arguments.cancel:
        return status_actions.cancel(groups)
    if arguments.rerun:
        return status_actions.rerun(groups)
    if arguments.failed:
        status_table.show_failed(groups)
    else:
        status_table.show(groups)
    return FAILED * any(group.failed for group in groups)
