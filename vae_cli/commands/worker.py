"""A rank above 0 of a run on this machine: python -m vae_cli.commands.worker FOLDER [resume]."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

from vae_cli.distributed import signals
from vae_cli.distributed.terminal import outlive


def main() -> None:
    """Train by the configuration that rank 0 has written."""
    signals.begin("vae-train")
    outlive()

    from vae_cli.commands.job import run_worker
    from vae_cli.commands.train import train
    from vae_cli.config.parse import parsed_as
    from vae_cli.config.schema import TrainConfig
    from vae_cli.runs.folder import RunFolder
    from vae_cli.training.loading import load_data

    run, resumes = RunFolder(Path(sys.argv[1])), len(sys.argv) > 2
    logging.basicConfig(filename=run.log_file, level=logging.WARNING, format="[%(asctime)s][worker] %(message)s")
    signals.listen()
    config = replace(parsed_as(TrainConfig, run.config()), resume=str(run.path) if resumes else None)

    def work() -> None:
        checkpoint = run.newest_checkpoint() if resumes else None
        train(config, load_data(config), run.path, checkpoint=checkpoint)

    run_worker(work, run)


if __name__ == "__main__":
    main()
