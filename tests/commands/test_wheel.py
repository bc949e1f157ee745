"""The wheel and the sdist: complete, and at work far from the sources."""

import json
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

from tests.support.commands import ROOT, environment

pytestmark = pytest.mark.slow


def shell(*words: str | Path, folder: Path) -> str:
    """The output of a command that succeeds, the sources not on its path."""
    variables = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    shell(
        sys.executable, "-m", "build", "--no-isolation", "--wheel", "--sdist", "--outdir", folder, ROOT, folder=folder
    )
    return folder


def configurations() -> set[str]:
    return {str(file.relative_to(ROOT)) for file in (ROOT / "conf").rglob("*.yaml")}


def pages() -> set[str]:
    return {str(file.relative_to(ROOT)) for file in (ROOT / "vae_cli" / "docs").iterdir()}


def test_the_sdist_holds_the_configuration(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert (
        configurations() | pages() | {"pyproject.toml", "README.md", "LICENSE", "Makefile", "vae_cli/cli.py"} <= names
    )


def test_the_installed_wheel_runs_anywhere(built: Path, tmp_path: Path) -> None:
    """In an environment of its own, which borrows the libraries, but not this package, of the present one."""
    place, work = tmp_path / "venv", tmp_path / "work"
    work.mkdir()
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    packages = Path(shell(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=work).strip())
    lent = [Path(path) for path in sys.path if path.endswith("-packages")]
    for entry in (entry for folder in lent for entry in folder.iterdir()):
        if "vae_cli" not in entry.name and not (packages / entry.name).exists():
            (packages / entry.name).symlink_to(entry)
    wheel = next(built.glob("*.whl"))
    shell(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, folder=work)

    code = "import json, vae_cli; from vae_cli.runs.layout import conf_folder; print(json.dumps([str(conf_folder())]))"
    conf = Path(json.loads(shell(python, "-c", code, folder=work))[0])
    assert conf == packages / "vae_cli" / "conf"
    assert {f"conf/{file.relative_to(conf)}" for file in conf.rglob("*.yaml")} == configurations()

    assert {str(file.relative_to(packages)) for file in (packages / "vae_cli" / "docs").iterdir()} == pages()
    assert "test/iw_samples" in shell(place / "bin" / "vae-train", "--help", "results", folder=work)

    line = ["dataset=digits", "trainer.max_epochs=1", "network.hidden=[16]", "evaluate.samples=2", "hydra.run.dir=run"]
    out = shell(place / "bin" / "vae-train", *line, "trainer.accelerator=cpu", folder=work)
    assert "test/elbo" in out
    results = json.loads((work / "run" / "results.json").read_text())
    assert (results["status"], results.get("git/commit")) == ("done", None)
    shell(place / "bin" / "vae-sample", "run=run", "n=4", folder=work)
    shell(place / "bin" / "vae-eval", "run=run", "evaluate.samples=3", folder=work)
    assert {path.name for path in work.iterdir()} == {"run", "outputs"}  # outputs/last leads to the run
