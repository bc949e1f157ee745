"""Runs on the Hugging Face Hub, and their copies on this machine."""

from __future__ import annotations

import re
from pathlib import Path

from platformdirs import user_cache_path

from vae_cli.errors import UserError, first_line
from vae_cli.runs.run_files import CONFIG, HISTORY, RESULTS, SCHEMA

SCHEME = "hf://"
BEST = "checkpoints/best.ckpt"
FILES = [CONFIG, RESULTS, SCHEMA, HISTORY, BEST, "figures/*", "README.md"]
"""Files of a published run."""


def fetched(place: str) -> Path:
    """The folder of the newest copy of hf://USER/NAME, in the user's cache; without a network the copy there."""
    repository = place.removeprefix(SCHEME).strip("/")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise UserError(f"{place}: no repository; use {SCHEME}USER/NAME")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise UserError(f"{place}: needs the package huggingface_hub; pip install 'vae-cli[hub]'") from error

    folder = user_cache_path("vae_cli") / "hub" / repository
    try:
        snapshot_download(repository, local_dir=folder, allow_patterns=FILES)
    except Exception as error:  # the library raises its own kinds, those of its client, and OSError
        raise UserError(
            f"{place}: cannot be fetched ({first_line(error)}); check the name, the network and the login "
            "(hf auth login)"
        ) from error
    return folder
