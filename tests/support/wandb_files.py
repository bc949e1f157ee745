"""Offline files of Weights & Biases, by W&B's own reader, and the commands that its agent starts."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from tests.support.commands import environment

CORE = Path(str(distribution("wandb").locate_file("wandb/bin/wandb-core")))
AGENT = """
import json, os, sys
from wandb.wandb_agent import Agent

sweep, values = map(json.loads, sys.argv[1:])
agent = Agent(None, None, sweep_id=os.environ["WANDB_SWEEP_ID"])
agent._sweep_command = sweep["command"]
chosen = {name: {"value": value} for name, value in values.items()}
agent._command_run({"run_id": "chosen01", "program": sweep["program"], "args": chosen})
sys.exit(agent._run_processes["chosen01"].wait())
"""
"""The agent as the server's answer sets it to work, without the server."""


def records(file: Path) -> list[dict[str, Any]]:
    """The records of a file, by the program that `wandb leet inspect` starts after a second of imports."""
    options = ["--no-observability", "--json", "--run-file", str(file)]
    command = [str(CORE), "leet", "inspect", *options, str(file.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(record) for record in done.stdout.splitlines()]


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record[kind] for record in found if record["type"] == kind]


def started_by_agent(
    sweep: Mapping[str, Any], values: Mapping[str, Any], folder: Path
) -> tuple[list[str], dict[str, str]]:
    """The arguments, and the variables of W&B, with which its agent starts vae-train for these values of a sweep."""
    stub = folder / "bin" / "vae-train"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\" > arguments\nenv | grep ^WANDB_ > variables\n")
    stub.chmod(0o755)
    settings = environment(PATH=f"{stub.parent}{os.pathsep}{os.environ['PATH']}", WANDB_SWEEP_ID="sweep123")
    command = [sys.executable, "-c", AGENT, json.dumps(sweep), json.dumps(values)]
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    variables = (folder / "variables").read_text().splitlines()
    return (folder / "arguments").read_text().splitlines(), dict(line.split("=", 1) for line in variables)
