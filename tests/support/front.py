"""The console commands without the libraries that are slow to import."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SLOW = ("torch", "torchvision", "pytorch_lightning", "wandb", "matplotlib", "sklearn", "scipy")


def call(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A console command in a process of its own; what is slow to import is made impossible to import."""
    code = f"import sys; sys.modules.update(dict.fromkeys({SLOW})); from vae_cli.cli import {command}; {command}()"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", code, *arguments]
    return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=60)
