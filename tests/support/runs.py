"""Files of a run's folder."""

import json
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from tests.support.configs import unchecked
from vae_cli.runs.folder import RunFolder


def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text(encoding="utf-8"))


def make_run(folder: Path, *overrides: str) -> Path:
    """A folder with what a run that was stopped leaves."""
    config = unchecked(*overrides)
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    (folder / "checkpoints").mkdir(parents=True)
    RunFolder(folder).begin(config)
    for name in ("best", "last"):
        (folder / "checkpoints" / f"{name}.ckpt").touch()
    return folder
