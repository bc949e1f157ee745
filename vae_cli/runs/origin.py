"""The origin of a run's weights, beside its configuration; kept in its checkpoints and in results.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vae_cli.runs.results import Results


@dataclass(frozen=True)
class Origin:
    """Epochs of the learning rate's schedule, with the changes of their number, and weights of another run.

    Args:
        max_epochs: `trainer.max_epochs` of the last start
        continued_at: epochs of training after which the run went on with another schedule
        init: the parts that began with weights of another run, see WarmStart
    """

    max_epochs: int = 0
    continued_at: tuple[int, ...] = ()
    init: Results = field(default_factory=dict)

    @classmethod
    def read(cls, checkpoint: Mapping[str, Any]) -> Origin:
        saved = checkpoint["origin"]
        return cls(saved["max_epochs"], tuple(saved["continued_at"]), dict(saved["init"]))

    @property
    def state(self) -> dict[str, Any]:
        """For a checkpoint: plain containers."""
        return {**asdict(self), "continued_at": list(self.continued_at)}

    @property
    def results(self) -> Results:
        """For results.json, without names that have no value."""
        continued: Results = {"continued_at": list(self.continued_at)} if self.continued_at else {}
        return continued | self.init
