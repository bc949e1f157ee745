"""The console commands in processes of their own: real ones, or ones forked from a server that has imported torch."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, set_start_method
from multiprocessing.context import ForkServerProcess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
NAMES = {command: target.removeprefix("vae_cli.cli:") for command, target in SCRIPTS.items()}
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "vae_cli.cli",
        "vae_cli.commands.train",
        "vae_cli.commands.sample",
        "vae_cli.commands.apply",
        "matplotlib.pyplot",
        "sklearn.datasets",
        "optuna.storages",
        "tests.support.training",
        "tests.support.warm",
    ]
)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int | None
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without what would change a run, and with `changes`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAE_", "WANDB_", "PIP_"))}
    return kept | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"} | changes


def shadow_libraries(folder: Path) -> None:
    """Files named as libraries that, if any is imported from there, leave a file `shadowed`."""
    for name in ("random", "json", "torch", "numpy"):
        (folder / f"{name}.py").write_text("open('shadowed', 'a').write(__name__ + ' ')\n")


def line(command: str, *arguments: str) -> list[str]:
    """The command line that starts a console command with this interpreter and these sources."""
    return [sys.executable, "-c", f"from vae_cli.cli import {NAMES[command]} as main; main()", *arguments]


def start(command: str, *arguments: str, folder: Path, **changes: str) -> Done:
    """Run a command as a shell does; it takes some seconds to import torch."""
    settings = {"cwd": folder, "env": environment(**changes), "stdin": subprocess.DEVNULL, "timeout": 240}
    done = subprocess.run(line(command, *arguments), capture_output=True, text=True, **settings)
    return Done(done.returncode, done.stdout, done.stderr)


def fork(command: str, *arguments: str, folder: Path, **changes: str) -> Done:
    """Run a command in a fork of a process that has the libraries in memory: quick, and otherwise the same,
    but that a training draws no figures, unless FIGURES is among the changes.

    HEADROOM_MB among the changes limits the memory that it may take beyond that. TERMINAL is the path of a terminal
    that it has in place of the files.
    """
    return forked(command, *arguments, folder=folder, **changes).end()


@dataclass(frozen=True)
class Forked:
    """A command that runs in a fork."""

    process: ForkServerProcess
    files: tuple[Path, Path]

    def end(self, number: int | None = None, after: float = 120) -> Done:
        """Wait for its end; if it goes on after so many seconds, send it a signal, or kill it, for it hangs."""
        self.process.join(after)
        if number is not None and self.process.is_alive():
            os.kill(self.process.pid or 0, number)
            self.process.join(120)
        code = self.process.exitcode
        self.process.kill()
        return Done(code, *(file.read_text(encoding="utf-8") for file in self.files))


def forked(command: str, *arguments: str, folder: Path, **changes: str) -> Forked:
    """Start a command as `fork` does."""
    stem = folder.parent / f"{folder.name}-output"
    files = (stem.with_suffix(".out"), stem.with_suffix(".err"))
    for file in files:
        file.write_bytes(b"")
    process = FORKS.Process(target=_call, args=(command, arguments, folder, environment(**changes), files))
    process.start()
    return Forked(process, files)


def _call(
    command: str, arguments: tuple[str, ...], folder: Path, variables: Mapping[str, str], files: Sequence[Path]
) -> None:
    from tests.support.training import without_figures
    from vae_cli import cli

    os.environ.clear()
    os.environ.update(variables)
    sys.path[:0] = variables["PYTHONPATH"].split(os.pathsep)
    os.chdir(folder)
    if terminal := variables.get("TERMINAL"):
        os.setsid()
    for number, file in enumerate([terminal] * 3 if terminal else files, 0 if terminal else 1):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which tests in the background inherit as ignored
    set_start_method("fork", force=True)  # a user's process has no fork server of ours either
    if headroom := variables.get("HEADROOM_MB"):
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + int(headroom) * 2**20,) * 2)
    if "FIGURES" not in variables:
        without_figures().__enter__()
    sys.argv = [command, *arguments]
    getattr(cli, NAMES[command])()


def fingerprint(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder; a folder or a link counts by its name and target."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else str(path.is_symlink() and path.readlink())
        for path in sorted(folder.rglob("*"))
    }
