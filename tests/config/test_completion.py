"""Completion in the shell: what each word may become, and bash's own use of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.front import call
from tests.support.runs import make_run
from vae_cli.config.completion import COMMANDS, completions, script
from vae_cli.errors import ConfigError

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.mark.parametrize(
    ("command", "word", "found"),
    [
        ("vae-train", "objec", ["objective=", "objective.beta=", "objective.free_bits=", "objective.samples="]),
        ("vae-train", "objective=vae", ["objective=vae_gan"]),
        ("vae-train", "trainer.max", ["trainer.max_epochs="]),
        ("vae-train", "--", ["--help"]),
        ("vae-train", "nothing", []),
        ("vae-train", "nothing=", []),
        ("vae-eval", "evaluate=p", ["evaluate=paper"]),
        ("vae-eval", "r", ["run="]),
        ("vae-status", "--", ["--watch", "--failed", "--cancel", "--rerun", "--help"]),
        ("vae-sample", "comp", ["component="]),
        ("vae-kl", "target=b", ["target=bimodal"]),
        ("vae-cavi", "study=gaussian_m", ["study=gaussian_mixture"]),
    ],
)
def test_a_word_becomes_groups_options_and_keys(command: str, word: str, found: list[str]) -> None:
    assert completions(command, word) == found


def test_a_users_own_options_are_completed() -> None:
    Path("vae_conf/model").mkdir(parents=True)
    Path("vae_conf/model/mine.yaml").write_text("latent_dim: 3\n")
    assert completions("vae-train", "model=mi") == ["model=mine"]


def test_files_and_folders_of_runs_are_values() -> None:
    make_run(Path("outputs/train/2026-01-02/a"))
    Path("data").mkdir()
    Path("data/table.npz").touch()
    assert completions("vae-train", "dataset.path=da") == ["dataset.path=data/"]
    assert completions("vae-train", "dataset.path=data/") == ["dataset.path=data/table.npz"]
    assert "resume=outputs/train/2026-01-02/a" in completions("vae-train", "resume=")
    make_run(Path("outputs/train/2026-01-02/10-11-12-123456-wide"))
    Path("outputs/multirun/2026-01-02/10-11-12-123456-grid").mkdir(parents=True)
    assert completions("vae-train", "resume=")[:2] == ["resume=last", "resume=wide"]
    assert completions("vae-eval", "run=wi") == ["run=wide"]
    assert completions("vae-report", "g") == ["grid"]
    assert completions("vae-eval", "run=d") == ["run=data/"]
    assert completions("vae-report", "outp") == ["outputs/"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_names_all_commands(shell: str) -> None:
    assert all(command in script(shell) for command in COMMANDS)
    if found := shutil.which(shell):
        assert subprocess.run([found, "-n"], input=script(shell), text=True, check=False).returncode == 0


def test_an_unknown_shell_is_refused() -> None:
    with pytest.raises(ConfigError, match="use --completion bash, zsh or fish"):
        script("tcsh")


def test_the_commands_answer_without_slow_imports() -> None:
    assert call("train", "--complete", "objective=vae").stdout == "objective=vae_gan\n"
    assert call("report", "--completion", "bash").stdout == script("bash")


def test_bash_replaces_the_part_after_the_equals_sign(tmp_path: Path) -> None:
    command = tmp_path / "vae-train"
    command.write_text("#!/bin/bash\nprintf 'objective=vae_gan\\nobjective=vade\\n'\n")
    command.chmod(0o755)
    line = f"{script('bash')}\nCOMP_LINE='vae-train objective=va' COMP_POINT=22\n_vae_cli {command}\n"
    done = subprocess.run(["bash", "-c", line + 'echo "${COMPREPLY[@]}"'], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["vae_gan", "vade"]
