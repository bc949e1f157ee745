"""MLflow: a server, or files in the folder of outputs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL.Image import Image

from vae_cli.config.comparison import flat
from vae_cli.config.schema import MLflowConfig
from vae_cli.runs.layout import outputs_folder
from vae_cli.runs.status import WELL
from vae_cli.training.loggers.run_logger import Files, Row, RunLogger

FOLDER = "vae_cli.folder"
"""Tag of a run in MLflow, so that a resumed run continues it."""


class MLflowLogger(RunLogger):
    """Sends rows and images to a run of MLflow, and at the end the final numbers.

    Args:
        folder: of the run
        group: sweep to which the run belongs, a tag
        config: whole configuration, whose keys become parameters
        files: sent at a good end
    """

    shows_images = True

    def __init__(
        self,
        settings: MLflowConfig,
        folder: Path,
        group: str | None,
        config: Mapping[str, Any],
        files: Files,
    ) -> None:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow import MlflowClient

        place = settings.uri or os.environ.get("MLFLOW_TRACKING_URI") or (outputs_folder() / "mlruns").as_uri()
        self.client, self.files = MlflowClient(tracking_uri=place), files
        found = self.client.get_experiment_by_name(settings.experiment)
        experiment = found.experiment_id if found else self.client.create_experiment(settings.experiment)
        self.id = self._earlier(experiment, folder) or self._new(experiment, folder, group, config)

    def _new(self, experiment: str, folder: Path, group: str | None, config: Mapping[str, Any]) -> str:
        tags = {FOLDER: str(folder.absolute()), "group": group or "", "tags": ", ".join(config["tags"])}
        run = self.client.create_run(experiment, run_name=config["name"] or folder.name, tags=tags)
        for key, value in flat(config):
            self.client.log_param(run.info.run_id, key, str(value)[:500], synchronous=True)
        return run.info.run_id

    def _earlier(self, experiment: str, folder: Path) -> str | None:
        """The id of the run in this folder, which a resumed run continues."""
        same = f"tags.`{FOLDER}` = '{folder.absolute()}'"
        return next((run.info.run_id for run in self.client.search_runs([experiment], same)), None)

    def log_epoch(self, row: Row) -> None:
        self._log({name: value for name, value in row.items() if name != "step"}, int(row["step"]))

    def log_step(self, row: Row) -> None:
        self._log({name: value for name, value in row.items() if name.startswith("step/")}, int(row["step"]))

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.client.log_batch(self.id, [Metric(name, value, now, step) for name, value in values.items()])

    def log_images(self, images: Mapping[str, Image], row: Row) -> None:
        for name, image in images.items():
            self.client.log_image(self.id, image, artifact_file=f"{name}/{int(row['step'])}.png")

    def finish(self, summary: Mapping[str, object]) -> None:
        numbers = {name: float(value) for name, value in summary.items() if isinstance(value, int | float)}
        self._log(numbers, int(numbers.get("train/steps", 0)))
        well = summary.get("status") in WELL
        for name, file in self.files().items() if well else ():
            self.client.log_artifact(self.id, file, name.rpartition("/")[0] or None)
        self.client.log_dict(self.id, dict(summary), "results.json")
        self.client.set_terminated(self.id, "FINISHED" if well else "FAILED")
