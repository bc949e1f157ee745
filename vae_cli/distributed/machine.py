"""Checks that this machine has the devices and processes of `trainer`, before the run writes a file; its memory."""

from __future__ import annotations

import ctypes
import logging
import sys
import warnings
from collections.abc import Sequence
from functools import cache

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from vae_cli.errors import ConfigError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of glibc's mallopt."""
KEPT, LARGEST = 2**28, 2**25
"""Bytes of free memory that this process keeps; the size from which glibc returns each freed block by itself."""


def keep_freed_memory() -> None:
    """Let glibc keep memory that is freed, which a next batch asks for again; else the system clears each page anew."""
    _set({M_TRIM_THRESHOLD: KEPT, M_MMAP_THRESHOLD: LARGEST})


def share_freed_memory() -> None:
    """Let the threads that start from now on use the memory that this one keeps; glibc keeps little of their own."""
    _set({M_ARENA_MAX: 1})


def _set(parameters: dict[int, int]) -> None:
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for name, value in parameters.items():
            libc.mallopt(name, value)


def check(accelerator: str, precision: str, devices: int | Sequence[int] = 1) -> pl.Trainer:
    """A Trainer with these settings; ConfigError where this machine has no such accelerator, devices or precision.

    The jobs of a process share it, because devices do not change under a process.
    """
    return _check(accelerator, precision, devices if isinstance(devices, int) else tuple(devices))


@cache
def _check(accelerator: str, precision: str, numbers: int | tuple[int, ...]) -> pl.Trainer:
    devices = numbers if isinstance(numbers, int) else list(numbers)
    quiet = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    level, quiet.level = quiet.level, logging.ERROR
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the errors below report it
            found = pl.Trainer(
                accelerator=accelerator,
                devices=devices,
                precision=precision,  # pyright: ignore[reportArgumentType]
                plugins=[LightningEnvironment()],
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
    except Exception as error:  # Lightning raises several classes
        reason = " ".join(str(error).split())
        asked = f"trainer.accelerator={accelerator} trainer.devices={devices}"
        remedy = "use trainer.accelerator=auto trainer.devices=1"
        raise ConfigError(f"{asked}: this machine does not have it ({reason}); {remedy}") from error
    finally:
        quiet.level = level
    if found.precision != precision:
        way = "use trainer.precision=32-true; a run of this precision resumes on a machine with a GPU"
        raise ConfigError(f"trainer.precision={precision}: needs a GPU; {way}")
    return found
