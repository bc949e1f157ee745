"""The files of a run's folder: their names and places, and which of them are there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vae_cli.runs.layout import display

CONFIG = "config.yaml"
OVERRIDES = "overrides.yaml"
STATUS = "status.json"
RESULTS = "results.json"
SCHEMA = "schema.json"
HISTORY = "metrics.csv"
STEPS = "steps.csv"
LOG = "vae-train.log"
SLURM_LOG = "slurm.log"
"""Link to the output of the run's SLURM job."""
LAST = "checkpoints/last.ckpt"
SUPERSEDED = "superseded"
"""Folder beside the jobs of a sweep, for runs of configurations that have changed since."""
CHECKPOINTS = ("best", "last", "previous")
"""Checkpoints that a command line may name."""


@dataclass(frozen=True)
class RunFiles:
    """The places of a run's files in its folder, which may be missing."""

    path: Path

    def __str__(self) -> str:
        return display(self.path)

    @property
    def name(self) -> str:
        """The last part of the path: in a sweep, the name of the job."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """The configuration, which each start of the run writes first."""
        return self.path / CONFIG

    @property
    def log_file(self) -> Path:
        return self.path / LOG

    @property
    def slurm_log(self) -> Path:
        """The output of the run's SLURM job, which packed runs share."""
        return self.path / SLURM_LOG

    @property
    def history_file(self) -> Path:
        """The numbers of each epoch."""
        return self.path / HISTORY

    @property
    def steps_file(self) -> Path:
        """The numbers of single steps."""
        return self.path / STEPS

    @property
    def results_file(self) -> Path:
        """The numbers of the whole run, which it writes last."""
        return self.path / RESULTS

    @property
    def schema_file(self) -> Path:
        """The facts of the training data by which new data are read."""
        return self.path / SCHEMA

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.path / "figures"

    @property
    def evaluations(self) -> Path:
        """The folder of later evaluations, by `vae-eval`."""
        return self.path / "evaluations"

    @property
    def samples(self) -> Path:
        """The folder of samples, by `vae-sample`."""
        return self.path / "samples"

    def published(self) -> dict[str, Path]:
        """The files by which others use the run, but its numbers, by their paths in a copy of its folder."""
        files = [self.config_file, self.schema_file, self.history_file, self.checkpoint("best")]
        found = [*files, *sorted(self.figures.glob("*.png"))]
        return {str(file.relative_to(self.path)): file for file in found if file.is_file()}

    def checkpoint(self, name: str) -> Path:
        """The file of a checkpoint: `best`, `last` or `previous`, or a path."""
        return self.checkpoints / f"{name}.ckpt" if name in CHECKPOINTS else Path(name)

    @property
    def has_run(self) -> bool:
        """True if a run has begun here."""
        return self.config_file.exists() or self.results_file.exists()

    @property
    def has_config(self) -> bool:
        """True if there is a configuration."""
        return self.config_file.is_file()

    @property
    def has_checkpoint(self) -> bool:
        """True if a run here can be resumed, unless its files are damaged."""
        return self.has_config and self.checkpoint("last").is_file()

    @property
    def saved_nothing(self) -> bool:
        """True if a run has begun here but has written no checkpoint."""
        return self.has_run and not any(self.checkpoints.glob("*.ckpt"))

    @property
    def started(self) -> int | None:
        """Time of the last start of a run, in nanoseconds; None where there was none."""
        return self.config_file.stat().st_mtime_ns if self.config_file.exists() else None

    @property
    def written(self) -> float:
        """Time of the last sign of life, in seconds; 0 where there was none."""
        return modified(self.path / STATUS)


def modified(file: Path) -> float:
    """Time of the last change in seconds; 0 where there is no file."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
