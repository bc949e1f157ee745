"""The script that sbatch takes for an array."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_cli.distributed import slurm
from vae_cli.runs.layout import queue_name


def script(config: DictConfig, file: Path, tasks: int, earlier: str | None = None) -> str:
    """The resources of the group cluster, the user's setup, and the command of a task, which runs jobs of `file`.

    Args:
        earlier: SLURM job that has to end before
    """
    options = {"dependency": earlier and f"afterany:{earlier}"} | _options(config, file, tasks)
    given = [f"#SBATCH --{name}{'=' * bool(value)}{value}" for name, value in options.items() if value is not None]
    cores = "$SLURM_CPUS_PER_TASK"  # srun does not inherit it from sbatch
    variables = f"export SRUN_CPUS_PER_TASK={cores} OMP_NUM_THREADS={cores} PYTHONSAFEPATH=1"
    command = shlex.join([sys.executable, "-u", "-m", "vae_cli.sweeps.slurm_task", str(file)])
    start = f"srun --kill-on-bad-exit=1 {command}"  # --unbuffered would make each log a terminal, with bars
    return "\n".join(["#!/bin/bash", *given, variables, *config.cluster.setup, start, ""])


def _options(config: DictConfig, file: Path, tasks: int) -> dict[str, Any]:
    """The options of sbatch, those of the user last: one process per device."""
    cluster, trainer = config.cluster, config.trainer
    processes = len(trainer.devices) if OmegaConf.is_list(trainer.devices) else trainer.devices
    uses = trainer.accelerator == "gpu" or (trainer.accelerator == "auto" and slurm.has_gpus(cluster.partition))
    gpus = cluster.gpus if cluster.gpus is not None else processes * uses
    wanted = {
        "job-name": queue_name(Path(config.hydra.sweep.dir)),
        "array": f"0-{tasks - 1}%{cluster.parallel}",
        "output": file.with_name("%A_%a.log"),
        "open-mode": "append",  # after a requeue
        "requeue": "",
        "time": cluster.time,
        "signal": f"USR2@{cluster.notice}",
        "mem": f"{round(1024 * cluster.memory)}M",
        "nodes": trainer.num_nodes,
        "ntasks-per-node": processes,
        "cpus-per-task": cluster.cpus,
        "gpus-per-node": gpus or None,
        "partition": cluster.partition,
        "account": cluster.account,
    }
    users = dict(option.lstrip("-").partition("=")[::2] for option in cluster.options)
    return wanted | users
