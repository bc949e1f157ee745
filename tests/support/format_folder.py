"""Makes tests/runs/format_1: a sweep of one small run, in the format that all later versions must read.

    python -m tests.support.format_folder

The folder is made once for a format, and never again.
"""

import shutil
import tempfile
from pathlib import Path

from tests.support.commands import ROOT, start

FOLDER = ROOT / "tests" / "runs" / "format_1"
LINE = (
    "-m", "dataset=digits", "network.hidden=[4]", "model.latent_dim=2", "evaluate.samples=2", "logger=csv",
    "trainer.accelerator=cpu", "trainer.threads=1", "trainer.max_epochs=2",
)  # fmt: skip
"""Arguments of vae-train, but for hydra.sweep.dir."""
KEPT = ("config.yaml", "overrides.yaml", "status.json", "results.json", "metrics.csv", "checkpoints")


def main() -> None:
    """Train in a temporary folder and copy the files that are part of the format."""
    with tempfile.TemporaryDirectory() as place:
        done = start("vae-train", *LINE, "hydra.sweep.dir=sweep", folder=Path(place))
        assert (done.code, done.err) == (0, ""), done.err
        (run,) = (file.parent for file in Path(place, "sweep").glob("*/config.yaml"))
        shutil.rmtree(FOLDER, ignore_errors=True)
        (FOLDER / run.name).mkdir(parents=True)
        for name in KEPT:
            copy = shutil.copytree if (run / name).is_dir() else shutil.copyfile
            copy(run / name, FOLDER / run.name / name)


if __name__ == "__main__":
    main()
