"""Which of the processes that train together this is. Free of torch."""

from __future__ import annotations

import os


def rank() -> int:
    """Counted from 0; the first one alone writes files and speaks."""
    return int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_PROCID") or 0)


def is_rank_zero() -> bool:
    """True on rank 0."""
    return rank() == 0
