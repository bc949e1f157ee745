"""The metrics of a report, in order, and their names."""

from __future__ import annotations

from collections.abc import Sequence

from vae_cli.evaluation.keys import BETTER, LABELS, MAIN, find
from vae_cli.report.groups import VALIDATION, Group

SPLITS = ("test", "val", "val_split", "train", "train_split", "exact")
"""val and train are the splits of `vae-eval`."""


def present(groups: Sequence[Group]) -> list[str]:
    """The metrics of at least one finished run: those that select runs, test, other splits, exact, a user's own."""
    known = [*VALIDATION, *(f"{split}/{name}" for split in SPLITS for name in LABELS)]
    found = {name for one in groups for run in one.finished for name in run.numbers}
    twice = {name for name in found if name.startswith("val/") and f"validation/{name[4:]}" in found}
    measured = (name for name in found if name.partition("/")[0] in SPLITS and not name.endswith("_se"))
    own = sorted(name for name in measured if find(name) is None)
    return [*(name for name in known if name in found - twice), *own]


def words(metric: str) -> str:
    """The name of a metric with its unit.

    >>> words("test/iw_log_likelihood"), words("validation/elbo")
    ('test IW log-likelihood (nats)', 'validation ELBO (nats)')
    """
    split, _, name = metric.partition("/")
    return f"{split.replace('_', ' ')} {LABELS.get(name, name)}"


def is_main(metric: str) -> bool:
    """True if a terminal shows the metric."""
    return metric.partition("/")[2] in MAIN


def better(metric: str) -> int:
    """1 where larger is better, -1 where smaller is, 0 where neither is."""
    return VALIDATION.get(metric) or BETTER.get(metric.partition("/")[2], 0)
