"""A further process of a run on this machine: python -m vae_cli.commands.worker FOLDER [resume]."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

from vae_cli.distributed import signals
from vae_cli.distributed.terminal import outlive


def main() -> None:
    """Train along, by the configuration that the first process has written."""
    signals.begin("vae-train")
    outlive()

    from vae_cli.commands.job import LOG, run_worker
    from vae_cli.commands.train import train
    from vae_cli.config.check import check
    from vae_cli.runs.saved_config import read_config
    from vae_cli.training.loading import load_data

    folder, resumes = Path(sys.argv[1]), len(sys.argv) > 2
    logging.basicConfig(filename=folder / LOG, level=logging.WARNING, format="[%(asctime)s][follower] %(message)s")
    signals.listen()
    config = replace(check(read_config(folder)), resume=str(folder) if resumes else None)
    run_worker(lambda: train(config, load_data(config), folder), folder)


if __name__ == "__main__":
    main()
