"""Files that are not synced to the disk: a run syncs twenty, and no test ends the power."""

import os


def install() -> None:
    os.fsync = lambda fd: None
