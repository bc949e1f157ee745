"""Checks of the commands that apply a model: capabilities of the run, the data and the output file."""

from __future__ import annotations

import re
from pathlib import Path

from vae_cli.capabilities import CAPABILITIES
from vae_cli.config.command_schemas import ApplyConfig, ExploreConfig, SampleConfig, ScoreConfig
from vae_cli.config.compose import COMMAND_LINE
from vae_cli.config.data_paths import relocated
from vae_cli.config.view import ConfigView, providing
from vae_cli.errors import ConfigError, counted
from vae_cli.runs.atomic_files import obstacle

SPLITS = ("train", "val", "test")
TABLES = (".csv", ".parquet", ".npz")


def check_application(config: ApplyConfig, view: ConfigView) -> None:
    """Refuse a run without what the command needs, data that are not there, and an output that cannot be written."""
    relocated(view.config, {"dataset.path": config.dataset.path, "dataset.root": config.dataset.root})
    capable(view, "inference", *(["density"] if isinstance(config, ScoreConfig) else []))
    if config.data not in (*SPLITS, "-") and not Path(config.data).expanduser().exists():
        problem = f"data={config.data}: there is no such file or folder ({COMMAND_LINE})"
        raise ConfigError(f"{problem}; use data=test, val, train, a path, or - for stdin", key="data")
    writable(config.out)


def check_exploration(config: ExploreConfig, view: ConfigView) -> None:
    """Refuse a run without continuous codes, and data that are not there."""
    relocated(view.config, {"dataset.path": config.dataset.path, "dataset.root": config.dataset.root})
    capable(view, "inference", "continuous")
    if config.data not in SPLITS and not Path(config.data).expanduser().exists():
        problem = f"data={config.data}: there is no such file or folder ({COMMAND_LINE})"
        raise ConfigError(f"{problem}; use data=test, val, train, or a path", key="data")


def check_sampling(config: SampleConfig, view: ConfigView) -> None:
    """Refuse a component, a temperature or a line between examples that the model does not have."""
    _component(config, view)
    if config.between is not None:
        capable(view, "inference", "continuous")
        if len(config.between) != 2:
            problem = f"between has {counted(len(config.between), 'example')} ({COMMAND_LINE})"
            raise ConfigError(f"{problem}; use two, as in between=[test:3,test:8]", key="between")
        if config.component is not None or config.temperature != 1:
            problem = f"between: a line has no component and no temperature ({COMMAND_LINE})"
            raise ConfigError(f"{problem}; remove component and temperature, or between", key="between")
        for source in config.between:
            names = {source, re.sub(r":\d+$", "", source)}  # the row left out
            if not names & {*SPLITS} and not any(Path(name).expanduser().exists() for name in names):
                problem = f"between: {source} is neither an example nor a file ({COMMAND_LINE})"
                raise ConfigError(f"{problem}; use SPLIT:ROW, FILE or FILE:ROW, as in test:3", key="between")
    if config.temperature != 1:
        capable(view, "continuous")
        if "layers" in view.provides("model"):
            problem = f"temperature={config.temperature:g}: {view.name('model')} draws each layer given others"
            raise ConfigError(f"{problem}; use temperature=1", key="temperature")
    if config.out is not None:
        writable(config.out)


def _component(config: SampleConfig, view: ConfigView) -> None:
    """Refuse a component that the prior of the run does not have."""
    if (component := config.component) is None:
        return
    asked = f"component={component}: {view.name('prior')} has"
    if "mixture" not in view.provides("prior"):
        raise ConfigError(f"{asked} no components ({COMMAND_LINE}); remove component", key="component")
    if component >= (count := view.argument("prior.components")):
        raise ConfigError(
            f"{asked} {counted(count, 'component')} ({COMMAND_LINE}); use component=0 to {count - 1}", key="component"
        )


def capable(view: ConfigView, *words: str) -> None:
    """Refuse a run whose posterior does not provide these capabilities."""
    for word in words:
        if word not in view.provides("posterior"):
            problem = f"this command needs {CAPABILITIES[word]}, which {view.name('posterior')} does not provide"
            raise ConfigError(f"{problem}; use a run with {providing('posterior', word)}", key="run")


def writable(out: str) -> None:
    """Refuse an output file that is there already, of an unknown kind, or in a folder that does not exist."""
    path, problem = Path(out).expanduser(), ""
    if out == "-":
        return
    if path.suffix.lower() not in TABLES:
        problem = f"its name ends in none of {', '.join(TABLES)}; use one of them, or out=- for CSV on stdout"
    elif path.exists():
        problem = "exists already; use another name, or remove it"
    elif not path.absolute().parent.is_dir():
        problem = f"there is no folder {path.parent}; make it, or use another one"
    elif reason := obstacle(path):
        problem = f"{reason}; use another folder"
    if problem:
        raise ConfigError(f"out={out}: {problem} ({COMMAND_LINE})", key="out")
