"""The console commands without the libraries that are slow to import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vae_cli import cli

ROOT = Path(__file__).parents[2]
SLOW = ("torch", "torchvision", "pytorch_lightning", "wandb", "matplotlib", "sklearn", "scipy")


def call(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A console command in a process of its own; what is slow to import is made impossible to import."""
    code = f"import sys; sys.modules.update(dict.fromkeys({SLOW})); from vae_cli.cli import {command}; {command}()"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", code, *arguments]
    return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=60)


def refuse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str, command: str = "train"
) -> str:
    """The line on stderr of a command that refuses its arguments; nothing is written."""
    before = sorted(Path().rglob("*"))
    monkeypatch.setattr(sys, "argv", ["vae", *arguments])
    with pytest.raises(SystemExit) as stop:
        getattr(cli, command)()
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1, err
    assert sorted(Path().rglob("*")) == before
    return err
