"""Figures and additional numbers: one that fails is left out with a warning."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vae_cli.distributed import signals
from vae_cli.errors import UserError, causes, disk_full, out_of_memory, warn


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Leave `what` out with a warning if it fails; signals, a full disk and out-of-memory errors are raised."""
    before = signals.raised()
    try:
        yield
    except Exception as error:
        if signals.raised() != before or disk_full(error) or any(map(out_of_memory, causes(error))):
            raise
        left_out(what, error)


def left_out(what: str, error: Exception) -> None:
    """Warn in one line, with the traceback in the log; in tests it raises the error."""
    reason = " ".join(str(error).split())[:300]
    cause = reason if isinstance(error, UserError) else f"{type(error).__name__}{': ' if reason else ''}{reason}"
    warn(f"{what}: left out, the other results stay ({cause})")
    logging.getLogger("vae_cli").info("traceback", exc_info=error)
