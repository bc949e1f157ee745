"""Nothing that lies in the working directory is imported in place of a library, by whatever process a run starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment, shadow_libraries

SMALL = (
    "dataset=digits", "network.hidden=[16]", "model.latent_dim=2", "evaluate.samples=2", "logger=none",
    "trainer.accelerator=cpu", "trainer.limit_batches=2", "trainer.max_epochs=1",
)  # fmt: skip
MAIN = "from vae_cli.cli import train; train()"


@pytest.mark.slow  # by default test_process_group.py lets files of such names lie about
@pytest.mark.parametrize(
    "line",
    [
        ["trainer.devices=2"],
        ["-m", "seed=0,1", "hydra/launcher=joblib"],
        ["-m", "seed=0,1", "hydra/launcher=submitit_local"],
    ],
    ids=["devices", "joblib", "submitit"],
)
def test_files_of_the_working_directory_are_no_libraries(line: list[str], tmp_path: Path) -> None:
    shadow_libraries(tmp_path)
    words = [sys.executable, "-P", "-c", MAIN, *line, *SMALL]  # -P: as the console command, which starts elsewhere
    settings = {"cwd": tmp_path, "env": environment(), "stdin": subprocess.DEVNULL, "timeout": 240}
    done = subprocess.run(words, capture_output=True, text=True, **settings)
    assert not (tmp_path / "shadowed").exists(), (tmp_path / "shadowed").read_text()
    assert (done.returncode, done.stderr) == (0, "")
