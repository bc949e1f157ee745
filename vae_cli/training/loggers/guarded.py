"""A logger that costs its run a warning where it fails, and nothing more."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from PIL.Image import Image

from vae_cli.distributed import signals
from vae_cli.errors import warn
from vae_cli.training.loggers.run_logger import Row, RunLogger


class Guarded(RunLogger):
    """Another logger, until it fails: then it logs no more, with one warning.

    Args:
        name: option of the group `logger`
    """

    def __init__(self, name: str, logger: RunLogger) -> None:
        self.name, self.logger = name, logger
        self.shows_images, self.works = logger.shows_images, True

    def log_epoch(self, row: Row) -> None:
        with self._guard():
            self.logger.log_epoch(row)

    def log_step(self, row: Row) -> None:
        with self._guard():
            self.logger.log_step(row)

    def log_images(self, images: Mapping[str, Image], row: Row) -> None:
        with self._guard():
            self.logger.log_images(images, row)

    def finish(self, summary: Mapping[str, object]) -> None:
        with self._guard():
            self.logger.finish(summary)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Do nothing after a failure; the errors that a signal causes in a library are raised."""
        before = signals.raised()
        try:
            yield
        except Exception as error:
            if signals.raised() != before:
                raise
            with suppress(Exception):
                self.logger.abandon()
            if self.works:
                reason = " ".join(str(error).split())[:200]
                warn(f"logger={self.name}: logs no more, the run goes on ({type(error).__name__}: {reason})")
                logging.getLogger("vae_cli").info("traceback", exc_info=error)
            self.works, self.logger = False, RunLogger()
