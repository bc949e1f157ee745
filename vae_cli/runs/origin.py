"""Where the weights of a run come from, apart from its configuration; kept in its checkpoints and in results.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vae_cli.runs.results import Results


@dataclass(frozen=True)
class Origin:
    """The epochs that the learning rate was scheduled over, and where that number was changed.

    max_epochs: `trainer.max_epochs` of the checkpoint; None in those of earlier versions
    continued_at: epochs of training after which the run went on under another schedule
    init: the parts that began with weights of another run, and which; see WarmStart
    """

    max_epochs: int | None = None
    continued_at: tuple[int, ...] = ()
    init: Results = field(default_factory=dict)

    @classmethod
    def read(cls, checkpoint: Mapping[str, Any]) -> Origin:
        """From a checkpoint; those of earlier versions have none."""
        saved = checkpoint.get("origin") or {}
        return cls(saved.get("max_epochs"), tuple(saved.get("continued_at", ())), dict(saved.get("init", {})))

    @property
    def state(self) -> dict[str, Any]:
        """For a checkpoint: plain containers."""
        return {**asdict(self), "continued_at": list(self.continued_at)}

    @property
    def results(self) -> Results:
        """For results.json, where there is something to tell."""
        continued: Results = {"continued_at": list(self.continued_at)} if self.continued_at else {}
        return continued | self.init
