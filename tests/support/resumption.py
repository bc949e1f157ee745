"""A finished run of three epochs, and commands that resume it."""

from pathlib import Path

from tests.support.commands import Done, fingerprint, fork

SMALL = (
    "dataset=digits", "network.hidden=[16]", "model.latent_dim=2", "evaluate.samples=2", "logger=csv",
    "trainer.accelerator=cpu", "trainer.threads=1", "trainer.limit_batches=3",
)  # fmt: skip


def train(folder: Path, *line: str) -> Done:
    return fork("vae-train", *line, folder=folder)


def trained(folder: Path) -> Path:
    """A new working directory with a finished run of three epochs."""
    folder.mkdir()
    done = train(folder, *SMALL, "trainer.max_epochs=3", "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    return folder


def kept(run: Path) -> dict[str, str]:
    """Digests of the files that a refusal leaves as they are: all but the log and the lock."""
    return {name: digest for name, digest in fingerprint(run).items() if name not in ("vae-train.log", ".lock")}
