"""Weights & Biases, for a run and for a report."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL.Image import Image
from PIL.ImageFile import ImageFile

from vae_cli.config.schema import WandbConfig
from vae_cli.distributed import slurm
from vae_cli.errors import UserError, first_line, warn
from vae_cli.runs.layout import sweep_name
from vae_cli.runs.results import installed_packages
from vae_cli.runs.run_files import RESULTS
from vae_cli.runs.status import WELL
from vae_cli.training.loggers.run_logger import Files, Row, RunLogger

UPLOAD = 60.0
"""Seconds for uploads at the end of a SLURM job, whose time is limited; `wandb sync --include-online` sends more."""


class WandbLogger(RunLogger):
    """Sends rows and images to a W&B run, whose horizontal axis is the step; the summary holds the final numbers.

    Args:
        group: sweep to which the run belongs, unless the settings name a group
        config: whole configuration, which W&B keeps, with the name and the tags of the run
        files: kept as an artefact at a good end
    """

    shows_images = True

    def __init__(
        self, settings: WandbConfig, folder: Path, group: str | None, config: Mapping[str, Any], files: Files
    ) -> None:
        self.files = files
        names = {"id": run_id(folder), "name": config["name"] or folder.name, "group": settings.group or group}
        try:
            self.run = started(asdict(settings), dir=folder, tags=list(config["tags"]), config=dict(config), **names)
        except UserError as error:
            raise UserError(f"{error}; use logger.wandb.mode=offline or logger=csv") from error
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step", step_sync=True)
        self._save_requirements()

    def log_epoch(self, row: Row) -> None:
        self._log(row, row)

    def log_step(self, row: Row) -> None:
        self._log(row, row)

    def log_images(self, images: Mapping[str, Image], row: Row) -> None:
        import wandb

        place = f"epoch {row['epoch']:.0f}, step {row['step']:.0f}"
        files = {name: image.filename if isinstance(image, ImageFile) else image for name, image in images.items()}
        logged = {name: wandb.Image(file, caption=place) for name, file in files.items()}  # a file is copied as it is
        self._log(logged | dict(row), row)

    def _log(self, values: Mapping[str, Any], row: Row) -> None:
        """Log values at the step of the row.

        W&B's own count of rows begins anew at each offline start, and rows of a later start would replace earlier ones.
        """
        self.run.log(dict(values), step=int(row["step"]))

    def finish(self, summary: Mapping[str, object]) -> None:
        """Write the final numbers and end the run, so that the next job of a sweep gets a run of its own."""
        well = summary.get("status") in WELL
        self.run.summary.update(dict(summary))
        if well and (files := self.files()):
            self._save(files, summary)
        self.run.finish(exit_code=0 if well else 1)

    def _save(self, files: Mapping[str, Path], summary: Mapping[str, object]) -> None:
        """Keep files of the run and its numbers as an artefact."""
        import wandb

        artifact = wandb.Artifact(f"run-{self.run.id}", type="model")
        for name, file in files.items():
            artifact.add_file(str(file), name=name)
        with artifact.new_file(RESULTS) as file:
            json.dump(dict(summary), file)
        self.run.log_artifact(artifact, aliases=["best"])

    def _save_requirements(self) -> None:
        """Save the list of installed packages; W&B's own list takes a third of a second at the start of each run."""
        file = Path(self.run.dir, "requirements.txt")
        if file.parent.is_dir():  # W&B is not disabled
            file.write_text("".join(f"{name}=={version}\n" for name, version, _ in installed_packages()))
            self.run.save(str(file), base_path=self.run.dir, policy="now")

    def abandon(self) -> None:
        import wandb

        wandb.teardown(1)


def run_id(folder: Path) -> str:
    """W&B's id of the run in this folder, so that a resumed run continues it; a new one if the folder has none."""
    legs = sorted((folder / "wandb").glob("*run-*-*"))
    return legs[-1].name.rpartition("-")[2] if legs else secrets.token_hex(6)


def log_report(settings: Mapping[str, Any], sweep: Path, folder: Path, images: Mapping[str, Image]) -> str:
    """Send images to a W&B run for a sweep, in the group of its runs; `settings` are those of their logger.

    Returns its mode.
    """
    import wandb

    mode = wandb_mode(settings["mode"])
    if mode == "disabled":
        return mode
    group = settings.get("group") or sweep_name(sweep)
    identity = hashlib.sha256(str(sweep).encode()).hexdigest()[:12]  # a report made again replaces the last
    names = {"id": identity, "name": sweep.name, "group": group, "job_type": "report"}
    run = started(settings, dir=folder, **names)
    run.log({name: wandb.Image(image) for name, image in images.items()})
    run.finish()
    return "offline" if run.offline else mode


def wandb_mode(choice: str) -> str:
    """`choice`; for auto, WANDB_MODE if set, else online where a key is configured, else offline. It never prompts."""
    if choice != "auto":
        return choice
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    import wandb

    return "online" if wandb.login(prompt=False, verify=False) else "offline"


def started(settings: Mapping[str, Any], **arguments: Any) -> Any:
    """A W&B run, resumed if one has this id; offline if the server does not answer."""
    import wandb
    from wandb.errors import AuthenticationError, CommError, UsageError

    patience = float(os.environ.get("WANDB_INIT_TIMEOUT") or 30)  # seconds
    longest = UPLOAD if slurm.job() else 0.0  # no limit

    def init(mode: str) -> Any:
        quiet = wandb.Settings(
            reinit="create_new",
            console="off",
            silent=True,
            init_timeout=patience,
            finish_timeout=longest,
            x_save_requirements=False,
        )
        with without_launch():
            return wandb.init(
                project=settings["project"],
                entity=settings["entity"],
                mode=mode,  # pyright: ignore[reportArgumentType]
                resume="allow",
                settings=quiet,
                **arguments,
            )

    try:
        detach_service()
        mode = wandb_mode(settings["mode"])
        try:
            return init(mode)
        except CommError as error:
            if mode != "online" or isinstance(error, AuthenticationError):
                raise
            wandb.teardown()  # else its service keeps the run that failed to start
            run = init("offline")
            place = os.path.relpath(Path(run.settings.sync_dir))
            warn(f"Weights & Biases is out of reach ({first_line(error)}): logged offline; wandb sync {place} sends it")
            return run
    except (AuthenticationError, CommError, UsageError) as error:
        raise UserError(f"Weights & Biases: {first_line(error)}") from error


@contextmanager
def without_launch() -> Iterator[None]:
    """Spare a start the import of W&B's launch agent, which takes a seventh of a short run.

    Nothing has staged inputs for an agent that is not imported.
    """
    from wandb.sdk.wandb_run import Run

    name = "_detect_and_apply_job_inputs"
    apply = getattr(Run, name, None)
    spared = apply is not None and "wandb.sdk.launch" not in sys.modules
    if spared:
        setattr(Run, name, lambda run: None)
    try:
        yield
    finally:
        if spared:
            setattr(Run, name, apply)


def detach_service() -> None:
    """In a SLURM job, start W&B's process as no descendant of this one: SLURM may signal all of these.

    The process ends when nothing has been connected to it for a minute.
    """
    if slurm.job() and "WANDB_SERVICE" not in os.environ:
        line = [sys.executable, "-m", "wandb", "beta", "core", "start", "--idle-timeout=1m"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode == 0:  # else W&B starts a process itself
            os.environ["WANDB_SERVICE"] = done.stdout.strip()
