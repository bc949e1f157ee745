"""Loggers beside metrics.csv: Weights & Biases and TensorBoard; the libraries' own logs go to the log file."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from vae_cli.config.schema import LoggerConfig, WandbConfig
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.errors import UserError, first_line, warn
from vae_cli.evaluation.optional import optional
from vae_cli.runs.layout import sweep_name

PATIENCE = float(os.environ.get("WANDB_INIT_TIMEOUT") or 30)
"""Timeout of W&B's server, seconds."""


def quiet_libraries() -> None:
    """Send warnings of Lightning and Python to the log file; drop the notices of W&B."""
    os.environ.setdefault("WANDB_SILENT", "true")
    logging.captureWarnings(True)
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "The `srun` command is available on your system but is not used")
    warnings.filterwarnings("ignore", ".isinstance.treespec, LeafSpec", FutureWarning)


def wandb_mode(choice: str) -> str:
    """`choice`; for auto, WANDB_MODE if set, else online where a key is configured, else offline. It never prompts."""
    if choice != "auto":
        return choice
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    import wandb

    return "online" if wandb.login(prompt=False, verify=False) else "offline"


@contextmanager
def opened(
    settings: LoggerConfig | WandbConfig,
    folder: Path,
    group: str | None,
    config: dict[str, Any],
    summary: Mapping[str, Any],
) -> Iterator[list[Logger]]:
    """The loggers of a run on rank 0; at its end they log the numbers that `summary` then has, and close.

    Args:
        group: sweep to which the run belongs.
        config: whole configuration, which W&B keeps.
    """
    loggers = build_loggers(settings, folder, group, config) if is_rank_zero() else []
    succeeded = False
    try:
        yield loggers
        succeeded = True
    finally:
        finish(loggers, summary, succeeded)


def build_loggers(
    settings: LoggerConfig | WandbConfig, folder: Path, group: str | None, config: dict[str, Any]
) -> list[Logger]:
    """The loggers of a run."""
    if isinstance(settings, WandbConfig):
        return [_wandb(settings, folder, group, config)]
    if settings.name != "tensorboard":
        return []
    try:
        return [TensorBoardLogger(folder, name="tensorboard", version="")]
    except ModuleNotFoundError as error:
        raise UserError("logger=tensorboard needs tensorboard: pip install 'vae-cli[tensorboard]'") from error


def run_id(folder: Path) -> str:
    """W&B's id of the run in this folder, so that a resumed run continues it; a new one if the folder has none."""
    legs = sorted((folder / "wandb").glob("*run-*-*"))
    return legs[-1].name.rpartition("-")[2] if legs else secrets.token_hex(6)


def _wandb(settings: WandbConfig, folder: Path, group: str | None, config: dict[str, Any]) -> WandbLogger:
    try:
        experiment = _started(
            asdict(settings),
            dir=folder,
            id=run_id(folder),
            name=folder.name,
            group=settings.group or group,
            tags=list(settings.tags),
            config=config,
        )
    except UserError as error:
        raise UserError(f"{error}; use logger.mode=offline or logger=csv") from error
    return WandbLogger(experiment=experiment)


def log_report(settings: Mapping[str, Any], sweep: Path, folder: Path, figures: Mapping[str, Figure]) -> str:
    """Send figures to a W&B run for a sweep, in the group of its runs; `settings` are those of their logger.

    Returns its mode.
    """
    import wandb

    mode = wandb_mode(settings["mode"])
    if mode == "disabled":
        return mode
    group = settings.get("group") or sweep_name(sweep)
    identity = hashlib.sha256(str(sweep).encode()).hexdigest()[:12]  # a report made again replaces the last
    names = {"id": identity, "name": sweep.name, "group": group, "job_type": "report"}
    try:
        run = _started(settings, dir=folder, **names)
    except UserError as error:
        raise UserError(f"{error}; the report itself is written; for its plots: wandb login, and again") from error
    run.log({name: wandb.Image(figure) for name, figure in figures.items()})
    run.finish()
    return "offline" if run.offline else mode


def _started(settings: Mapping[str, Any], **arguments: Any) -> Any:
    """A W&B run, resumed if one has this id; offline if the server does not answer."""
    import wandb
    from wandb.errors import AuthenticationError, CommError, UsageError

    def init(mode: str) -> Any:
        return wandb.init(
            project=settings["project"],
            entity=settings["entity"],
            mode=mode,  # pyright: ignore[reportArgumentType]
            resume="allow",
            settings=wandb.Settings(console="off", silent=True, init_timeout=PATIENCE),
            **arguments,
        )

    try:
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


def log_figures(loggers: Sequence[Logger], figures: Mapping[str, Figure], step: int) -> None:
    """Send figures to every logger that takes images."""
    for logger in loggers:
        with optional("figures in the logger"):
            if isinstance(logger, WandbLogger):
                import wandb

                images: dict[str, Any] = {f"figures/{name}": wandb.Image(figure) for name, figure in figures.items()}
                logger.experiment.log({**images, "trainer/global_step": step})
            elif isinstance(logger, TensorBoardLogger):
                for name, figure in figures.items():
                    logger.experiment.add_figure(f"figures/{name}", figure, step, close=False)


def finish(loggers: Sequence[Logger], summary: Mapping[str, Any], succeeded: bool) -> None:
    """Write the final numbers and close, so that the next run of a sweep gets a run of its own."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(dict(summary))
            logger.experiment.finish(exit_code=0 if succeeded else 1)
        elif isinstance(logger, TensorBoardLogger):
            numbers = {k: v for k, v in summary.items() if isinstance(v, int | float) and "/" in k}
            logger.log_metrics(numbers)
            logger.finalize("success" if succeeded else "failed")
