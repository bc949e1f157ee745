"""The folders of runs, checked before anything is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf

from vae_cli.config import resume
from vae_cli.config.apply_checks import check_application, check_exploration, check_sampling
from vae_cli.config.check import check_rules
from vae_cli.config.command_schemas import (
    ApplyConfig,
    EvalConfig,
    ExploreConfig,
    ExportConfig,
    PushConfig,
    RunCommandConfig,
    SampleConfig,
)
from vae_cli.config.compose import COMMAND_LINE
from vae_cli.config.data_paths import relocated
from vae_cli.config.parse import Where, parsed_as
from vae_cli.config.schema import TrainConfig
from vae_cli.config.view import ConfigView
from vae_cli.errors import ConfigError
from vae_cli.runs.atomic_files import obstacle
from vae_cli.runs.find import initial_checkpoint, newest_instead, run_around
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import display
from vae_cli.runs.run_files import CHECKPOINTS, OVERRIDES

R = TypeVar("R", bound=RunCommandConfig)


def initial(config: TrainConfig) -> None:
    """Refuse a warm start without a checkpoint."""
    if config.init:
        initial_checkpoint(config.init)
    elif config.init_parts:
        raise ConfigError(f"init_parts={config.init_parts}: of which run? ({COMMAND_LINE}); set init=DIR")


def readable(config: TrainConfig, where: Where) -> None:
    """Refuse data of the user's own whose file or folder is missing."""
    place = config.dataset.arguments.get("path")
    if isinstance(place, str) and not Path(place).expanduser().exists():
        key = "dataset.path"
        raise ConfigError(f"{key}={place}: there is no such file or folder ({where(key)}); set {key}=PLACE", key=key)


def installed(config: TrainConfig, where: Where) -> None:
    """Refuse a logger whose library is missing."""
    if config.logger.tensorboard:
        _needs("logger=tensorboard", ["tensorboard"], where("logger.tensorboard"), "logger=csv", "tensorboard")
    if config.logger.mlflow:
        _needs("logger=mlflow", ["mlflow"], where("logger.mlflow"), "logger=csv", "mlflow")


PACKAGES = {"onnx": ["onnx", "onnxscript", "onnxruntime"], "torch": [], "safetensors": ["safetensors"]}
"""Packages that an export needs, by its format."""


def _needs(choice: str, packages: Sequence[str], place: str, other: str, extra: str) -> None:
    """Refuse a choice, as in logger=tensorboard, one of whose packages is missing."""
    if missing := next((name for name in packages if find_spec(name) is None), None):
        problem = f"{choice}: the package {missing} is not installed ({place})"
        key = choice.partition("=")[0]
        raise ConfigError(f"{problem}; use {other}, or pip install 'vae-cli[{extra}]'", key=key)


def creatable(folder: Path, key: str = resume.RUN_DIR) -> None:
    """Refuse an output folder that cannot be made, before anything is written."""
    if problem := obstacle(folder):
        raise ConfigError(f"{display(folder)}: {problem}; set VAE_OUTPUT_DIR or {key} to another folder")
    parent = next(path for path in [folder.absolute(), *folder.absolute().parents] if path.exists())
    if run := run_around(parent):
        raise ConfigError(f"{display(folder)}: lies in the folder of a run, {run}; use another folder")


def free(folder: Path) -> None:
    """Refuse a folder that holds something else, such as a project's own config.yaml or figures."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    logs = (".log", ".out", ".err")
    others = sorted(name for name in names if not name.startswith(".") and Path(name).suffix not in logs)
    if others and OVERRIDES not in names:
        problem = f"is not empty ({others[0]}) and is no folder of a run"
        raise ConfigError(f"{resume.RUN_DIR}={display(folder)}: {problem}; use a new folder")


def plain_names(master: DictConfig) -> None:
    """Refuse names with which hydra would write outside the folder of a run."""
    for key, default in (("job.name", "vae-train"), ("output_subdir", ".hydra")):
        name = OmegaConf.select(master.hydra, key) or default
        if not re.fullmatch(r"\.?[\w-][\w.-]*", str(name)):
            raise ConfigError(f"hydra.{key}={name}: invalid name ({COMMAND_LINE}); use only letters, digits, . _ and -")
    subdir = OmegaConf.to_container(master.hydra.sweep, resolve=False)["subdir"]  # pyright: ignore
    if not str(subdir).startswith("${vae_job:"):
        problem = "a job's folder has the name of its overrides, so that a sweep can continue"
        raise ConfigError(f"hydra.sweep.subdir={subdir}: {problem} ({COMMAND_LINE}); set hydra.sweep.dir")


def located(config: R, where: Where) -> R:
    """The configuration with absolute paths of the run and its checkpoint; ConfigError where one cannot be read."""
    run = RunFolder(Path(config.run).absolute())
    if config.ckpt in CHECKPOINTS and run.saved_nothing:
        raise ConfigError(f"run={config.run}: has no checkpoint ({COMMAND_LINE}); {resume.start_again(run)}")
    if not run.has_config:
        problem = "not the folder of a run" if run.path.is_dir() else "no such folder"
        raise ConfigError(f"run={config.run}: {problem} ({COMMAND_LINE}); {newest_instead('run')}")
    saved = parsed_as(TrainConfig, run.config(), lambda key: resume.place(run, key), accepts=lambda _: False)
    if isinstance(config, EvalConfig):
        relocated(saved, {"dataset.path": config.dataset.path, "dataset.root": config.dataset.root})
        asked = replace(saved, evaluate=config.evaluate)
        check_rules(asked, lambda key: where(key) if _evaluates(key) else resume.place(run, key), _evaluates, saved)
    else:
        view = ConfigView(saved, lambda key: resume.place(run, key))
        if isinstance(config, SampleConfig):
            check_sampling(config, view)
        if isinstance(config, ExportConfig):
            _needs(f"format={config.format}", PACKAGES[config.format], where("format"), "format=torch", "export")
        if isinstance(config, ExploreConfig):
            _needs(f"run={config.run}", ["bokeh"], where("run"), "vae-report", "explore")
            check_exploration(config, view)
        if isinstance(config, PushConfig):
            _needs(f"to={config.to}", ["huggingface_hub"], where("to"), "vae-export", "hub")
            if not re.fullmatch(r"[\w.-]+/[\w.-]+", config.to):
                raise ConfigError(f"to={config.to}: no repository ({where('to')}); use to=USER/NAME", key="to")
        if isinstance(config, ApplyConfig):
            check_application(config, view)
    path = run.checkpoint(config.ckpt)
    if not path.is_file():
        ways = f"use ckpt={'|'.join(CHECKPOINTS)} or the path of a file"
        raise ConfigError(f"ckpt={config.ckpt}: no such checkpoint ({COMMAND_LINE}); {ways}")
    ckpt = config.ckpt if config.ckpt in CHECKPOINTS else str(path.absolute())
    return replace(config, run=str(run.path), ckpt=ckpt)


def _evaluates(key: str) -> bool:
    """True for the part of a run's configuration that vae-eval replaces."""
    return key.partition(".")[0] == "evaluate"
