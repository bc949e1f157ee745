"""Makes tests/runs/format_N: a sweep of one small run, in the present format, which all later versions must read.

    python -m tests.support.format_folder

The folder is made once for a format, and never again.
"""

import shutil
import tempfile
from pathlib import Path

from tests.support.commands import ROOT, start
from vae_cli.runs.saved_config import FORMAT

PLACE = ROOT / "tests" / "runs"
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
        folder = PLACE / f"format_{FORMAT}" / run.name
        folder.mkdir(parents=True)
        for name in KEPT:
            copy = shutil.copytree if (run / name).is_dir() else shutil.copyfile
            copy(run / name, folder / name)


if __name__ == "__main__":
    main()
