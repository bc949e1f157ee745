"""The numbers that a report shows, in order, and their names in words."""

from __future__ import annotations

from collections.abc import Sequence

from vae_cli.evaluation.keys import LABELS, MAIN
from vae_cli.report.groups import VALIDATION, Group

SPLITS = ("test", "val", "val_split", "train", "train_split", "exact")
"""val and train as `vae-eval` and earlier versions name what was evaluated."""


def present(groups: Sequence[Group]) -> list[str]:
    """The metrics that at least one finished run has: what runs are chosen by, then test, other splits, exact ones."""
    known = [*VALIDATION, *(f"{split}/{name}" for split in SPLITS for name in LABELS)]
    found = {name for one in groups for run in one.finished for name in run.numbers}
    twice = {name for name in found if name.startswith("val/") and f"validation/{name[4:]}" in found}
    return [name for name in known if name in found - twice]


def words(metric: str) -> str:
    """A metric in words.

    >>> words("test/iw_log_likelihood"), words("validation/elbo")
    ('test IW log-likelihood (nats)', 'validation ELBO (nats)')
    """
    split, _, name = metric.partition("/")
    return f"{split.replace('_', ' ')} {LABELS[name]}"


def is_main(metric: str) -> bool:
    """Whether a terminal shows it."""
    return metric.partition("/")[2] in MAIN
