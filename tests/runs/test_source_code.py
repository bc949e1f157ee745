"""The state of the code that a run keeps: git itself makes the same tree of it again."""

import subprocess
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

from vae_cli.runs.results import provenance
from vae_cli.runs.source_code import LIMIT, PACKAGE, Checkout, SourceCode, source_code


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with one commit."""
    folder = tmp_path / "project"
    (folder / "lib").mkdir(parents=True)
    git(folder, "init", "--quiet")
    (folder / "lib" / "model.py").write_text("a = 1\n")
    (folder / "data.csv").write_text("1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_the_difference_makes_the_tree_again(project: Path, tmp_path: Path) -> None:
    (project / "lib" / "model.py").write_text("a = 2\nb = 3")
    (project / "lib" / "ünew.py").write_text("c = 4")
    (project / "empty.py").touch()
    (project / "outputs").mkdir()
    (project / "outputs" / "results.json").write_text("{}")
    code = SourceCode({"project": project / "lib"})
    code.write(tmp_path)
    found = provenance(code)
    assert (found["project/commit"], found["project/dirty"]) == (git(project, "rev-parse", "HEAD"), True)
    git(tmp_path, "clone", "--quiet", str(project), "again")
    git(tmp_path / "again", "apply", str(tmp_path / "project.diff"))
    for name in ("lib/model.py", "lib/ünew.py", "empty.py", "data.csv"):
        assert (tmp_path / "again" / name).read_text() == (project / name).read_text()
    assert not (tmp_path / "again" / "outputs").exists()


def test_a_long_difference_is_cut_and_says_so(project: Path, tmp_path: Path) -> None:
    for name in ("data.csv", "new.py"):
        (project / name).write_text("x = 1\n" * LIMIT)
        checkout = Checkout.around(project)
        assert checkout and len(checkout.changes) > LIMIT
        checkout.write(tmp_path / "cut.diff")
        text = (tmp_path / "cut.diff").read_bytes()
        assert text.startswith(b"cut after 1,000,000 bytes") and len(text) < LIMIT + 100
        git(project, "checkout", "data.csv")


def test_a_clean_tree_leaves_no_file_and_no_tree_is_null(project: Path, tmp_path: Path) -> None:
    (tmp_path / "project.diff").write_text("of an earlier start")
    clean = SourceCode({"project": project})
    clean.write(tmp_path)
    assert not (tmp_path / "project.diff").exists() and provenance(clean)["project/dirty"] is False
    none = provenance(SourceCode({"project": tmp_path}))
    assert (none["project/commit"], none["project/dirty"]) == (None, None)
    assert set(source_code(PACKAGE).folders) == {"git"} and set(source_code(tmp_path).folders) == {"git", "project"}


def test_versions_are_those_of_imported_packages() -> None:
    found = {key.partition("/")[2] for key in provenance(SourceCode({})) if key.startswith("version/")}
    tops, owners = {name.partition(".")[0] for name in sys.modules}, packages_distributions()
    expected = {name for top in tops - sys.stdlib_module_names for name in owners.get(top, ())}
    assert {"torch", "scikit-learn", "PyYAML", "pillow"} & expected
    assert found == expected | {"python", "vae-cli"}
    assert provenance(SourceCode({}))["version/torch"] == version("torch")
